/* fault: delays or aborts a share of the requests, to see how callers take it. */
#include "base/rand.h"
#include "proxy/filter.h"

struct fault_delay {
    struct dur duration;
    struct ratio percentage;
};
struct fault_abort {
    int64_t status;
    struct ratio percentage;
};
struct fault_when {
    struct str header, value;
};
struct fault_conf {
    struct fault_delay *delay;
    struct fault_abort *abort;
    struct fault_when *when;
};
static const struct field delay_fields[] = {
    FIELD(struct fault_delay, duration, "duration", "How long requests wait.", .flags = F_REQUIRED,
          .min = 1, .max = 3600 * NS_PER_S),
    FIELD(struct fault_delay, percentage, "percentage", "Share of the requests.", .def = "100%"),
    FEND,
};
static const struct schema delay_schema = { .name = "faultDelay",
                                            .doc = "A delay.",
                                            .size = sizeof(struct fault_delay),
                                            .fields = delay_fields };
static const struct field abort_fields[] = {
    FIELD(struct fault_abort, status, "status", "Status to answer with.", .def = "503", .min = 400,
          .max = 599),
    FIELD(struct fault_abort, percentage, "percentage", "Share of the requests.", .def = "100%"),
    FEND,
};
static const struct schema abort_schema = { .name = "faultAbort",
                                            .doc = "An error instead of an answer.",
                                            .size = sizeof(struct fault_abort),
                                            .fields = abort_fields };
static const struct field when_fields[] = {
    FIELD(struct fault_when, header, "header", "Name of a request header.", .flags = F_REQUIRED,
          .format = FMT_HEADER),
    FIELD(struct fault_when, value, "value", "Its value; none means any."),
    FEND,
};
static const struct schema when_schema = { .name = "faultWhen",
                                           .doc = "Which requests.",
                                           .size = sizeof(struct fault_when),
                                           .fields = when_fields };
static const struct field fields[] = {
    FPTR(struct fault_conf, delay, "delay", &delay_schema, "Makes requests wait."),
    FPTR(struct fault_conf, abort, "abort", &abort_schema, "Answers with an error."),
    FPTR(struct fault_conf, when, "when", &when_schema, "Only requests with this header."),
    FEND,
};
static const struct schema schema = { .name = "fault",
                                      .doc = "Delays or aborts a share of the requests.",
                                      .size = sizeof(struct fault_conf),
                                      .fields = fields };

static bool drawn(struct ratio share)
{
    return rand_below(1000000) < share.ppm;
}

static bool concerned(const struct fault_conf *c, const struct http_message *m)
{
    if (!c->when)
        return true;
    const struct header *h = headers_find(&m->headers, c->when->header);
    return h && (!c->when->value.n || str_eq(header_value(h), c->when->value));
}

struct fault_state {
    bool delayed, abort;
};

static enum filter_verdict abort_request(struct exchange *x, const struct fault_conf *c)
{
    exchange_reply(x, (uint16_t)c->abort->status, "fault-injected",
                   STR("This failure was injected by a fault policy."));
    return FILTER_RESPOND;
}

static enum filter_verdict on_request(struct exchange *x, const struct filter *f, void *state)
{
    const struct fault_conf *c = f->conf;
    struct fault_state *st = state;
    if (!concerned(c, exchange_request(x)))
        return FILTER_NEXT;
    st->abort = c->abort && drawn(c->abort->percentage);
    st->delayed = c->delay && drawn(c->delay->percentage);
    if (st->delayed)
        return exchange_pause_for(x, c->delay->duration);
    return st->abort ? abort_request(x, c) : FILTER_NEXT;
}

static enum filter_verdict on_resume(struct exchange *x, const struct filter *f, void *state)
{
    const struct fault_state *st = state;
    return st->abort ? abort_request(x, f->conf) : FILTER_NEXT;
}

const struct filter_type filter_fault = {
    .name = "fault",
    .phase = PHASE_FAULT,
    .class = SECTION_TRAFFIC,
    .layers = SECTION_L7,
    .schema = &schema,
    .state_size = sizeof(struct fault_state),
    .on_request = on_request,
    .on_resume = on_resume,
};
