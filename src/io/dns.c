/* The stub resolver: names of the hosts file, then A and AAAA over UDP from a fresh port each time,
   TCP for what does not fit. Loop thread only.

   A query walks candidates (the name, or the name in the search domains), and for each candidate
   tries (attempt, server) until both types are answered. Its end is told from a timer, so never
   inside dns_resolve. */
#include "io/dns.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/dns_msg.h"
#include "io/conn.h"
#include "io/dns_conf.h"
#include "io/sys.h"
#include <errno.h>
#include <stdlib.h>

enum {
    CANDIDATES = DNS_SEARCH + 1,
    RESULTS = 2 * DNS_ADDRESSES_MAX,
    TTL_MIN = 1,
    TTL_MAX = 3600,
    TTL_FAILED = 5,
    MESSAGE_MAX = 4096
};
struct question {
    uint16_t id, type;
    bool done;
};
struct dns_query {
    struct loop *loop;
    dns_fn *fn;
    void *arg;
    struct timer timer;
    struct arena arena;
    struct dns_conf conf;
    struct str name, candidate[CANDIDATES];
    size_t n_candidates, at_candidate;
    unsigned tries;
    struct watch watch;
    bool watching, finished, failed; /* failed: a server could not say */
    struct question q[2];
    union addr v[RESULTS];
    size_t n;
    uint32_t ttl;
    struct dns_tcp *tcp;
    const char *error;
};
struct dns_tcp {
    struct conn c;
    struct dns_query *query; /* NULL: cancelled */
    struct buf in;
    size_t which;
};

static union addr test_server;
static bool has_test_server;

bool dns_set_server(struct str address)
{
    has_test_server = addr_parse(address, &test_server);
    return has_test_server;
}

static void close_udp(struct dns_query *q)
{
    if (!q->watching)
        return;
    loop_unwatch(q->loop, &q->watch);
    (void)sys_close(q->watch.fd);
    q->watching = false;
}

static void drop_tcp(struct dns_query *q)
{
    if (!q->tcp)
        return;
    q->tcp->query = NULL;
    if (!conn_closing(&q->tcp->c))
        conn_abort(&q->tcp->c, IO_OK);
    q->tcp = NULL;
}

static void query_free(struct dns_query *q)
{
    close_udp(q);
    drop_tcp(q);
    timer_fini(q->loop, &q->timer);
    arena_fini(&q->arena);
    mem_free(q);
}

void dns_cancel(struct dns_query *q)
{
    if (q)
        query_free(q);
}

/* The callback comes from the timer, in a later turn. */
static void finish(struct dns_query *q, const char *error)
{
    close_udp(q);
    drop_tcp(q);
    q->finished = true;
    q->error = q->n ? NULL : error;
    timer_set(q->loop, &q->timer, loop_now(q->loop) + 1);
}

static void tell(struct dns_query *q)
{
    uint32_t ttl = q->n || q->ttl ? q->ttl : TTL_FAILED;
    ttl = ttl < TTL_MIN ? TTL_MIN : ttl > TTL_MAX ? TTL_MAX : ttl;
    struct dns_result r = { .v = q->v, .n = q->n, .ttl = { ttl * NS_PER_S }, .error = q->error };
    dns_fn *fn = q->fn;
    void *arg = q->arg;
    fn(arg, &r);
    query_free(q);
}

static void ask(struct dns_query *q);

static void next_candidate(struct dns_query *q)
{
    close_udp(q);
    drop_tcp(q);
    if (++q->at_candidate >= q->n_candidates) {
        finish(q, q->failed ? "no name server answered" : "the name does not exist");
        return;
    }
    q->tries = 0;
    q->q[0].done = q->q[1].done = false;
    ask(q);
}

static void retry(struct dns_query *q)
{
    close_udp(q);
    drop_tcp(q);
    if (++q->tries < q->conf.attempts * q->conf.n_servers) {
        ask(q);
        return;
    }
    q->failed = true;
    if (q->n)
        finish(q, NULL); /* one family answered: better than nothing */
    else
        next_candidate(q);
}

static void take_reply(struct dns_query *q, struct question *u, const struct dns_reply *r)
{
    u->done = true;
    for (size_t i = 0; i < r->n && q->n < RESULTS; i++) {
        union addr *a = &q->v[q->n++];
        memset(a, 0, sizeof(*a));
        if (r->v[i].len == 4) {
            a->v4.sin_family = AF_INET;
            memcpy(&a->v4.sin_addr, r->v[i].ip, 4);
        } else {
            a->v6.sin6_family = AF_INET6;
            memcpy(&a->v6.sin6_addr, r->v[i].ip, 16);
        }
    }
    /* A family without addresses must not make the other one's expire at once. */
    if (r->n && (q->ttl == 0 || r->ttl < q->ttl))
        q->ttl = r->ttl ? r->ttl : TTL_MIN;
    if (!q->q[0].done || !q->q[1].done)
        return;
    if (q->n)
        finish(q, NULL);
    else
        next_candidate(q);
}

/* ---- TCP, for answers that do not fit ---- */
static void tcp_open(struct conn *c)
{
    struct dns_tcp *t = CONTAINER_OF(c, struct dns_tcp, c);
    char msg[DNS_QUERY_MAX + 2];
    if (!t->query)
        return;
    const struct question *u = &t->query->q[t->which];
    size_t n = dns_query_make(u->id, t->query->candidate[t->query->at_candidate], u->type, msg + 2);
    msg[0] = (char)(n >> 8);
    msg[1] = (char)n;
    conn_write(c, msg, n + 2);
}

static void tcp_data(struct conn *c, const char *p, size_t n)
{
    struct dns_tcp *t = CONTAINER_OF(c, struct dns_tcp, c);
    struct dns_query *q = t->query;
    struct dns_reply r;
    if (!q || !buf_add(&t->in, p, n) || t->in.n < 2)
        return;
    size_t size = (size_t)(uint8_t)t->in.p[0] << 8 | (uint8_t)t->in.p[1];
    if (t->in.n < size + 2)
        return;
    struct question *u = &q->q[t->which];
    bool good = dns_reply_parse((struct str){ t->in.p + 2, size }, u->id,
                                q->candidate[q->at_candidate], u->type, &r) &&
                !r.truncated;
    drop_tcp(q);
    if (good && (r.rcode == 0 || r.rcode == 3))
        take_reply(q, u, &r);
    else
        retry(q);
}

static void tcp_close(struct conn *c, enum io_err e)
{
    struct dns_tcp *t = CONTAINER_OF(c, struct dns_tcp, c);
    struct dns_query *q = t->query;
    (void)e;
    buf_fini(&t->in);
    mem_free(t);
    if (!q)
        return;
    q->tcp = NULL;
    retry(q);
}

static const struct conn_ops tcp_ops = { .on_open = tcp_open,
                                         .on_data = tcp_data,
                                         .on_close = tcp_close };

static const union addr *server_of(const struct dns_query *q)
{
    return &q->conf.server[q->tries % q->conf.n_servers];
}

static void ask_tcp(struct dns_query *q, size_t which)
{
    if (q->tcp)
        return; /* one at a time; the other type's UDP answer comes again */
    struct dns_tcp *t = mem_alloc(sizeof(*t));
    if (!t)
        return;
    buf_init(&t->in, 128 * 1024);
    t->query = q;
    t->which = which;
    if (!conn_connect(&t->c, q->loop, server_of(q), NULL, NULL, &tcp_ops)) {
        mem_free(t);
        return;
    }
    q->tcp = t;
}

/* ---- UDP ---- */
static void on_udp(struct watch *w, uint32_t events)
{
    struct dns_query *q = CONTAINER_OF(w, struct dns_query, watch);
    char msg[MESSAGE_MAX];
    (void)events;
    for (int i = 0; i < 16 && q->watching; i++) {
        /* The socket is connected: the kernel lets only this server's address and port through. */
        ssize_t n = sys_recv(w->fd, msg, sizeof(msg));
        struct dns_reply r;
        if (n < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
                retry(q); /* refused: nobody listens there */
            return;
        }
        for (size_t k = 0; k < 2 && q->watching; k++) {
            struct question *u = &q->q[k];
            if (u->done || !dns_reply_parse((struct str){ msg, (size_t)n }, u->id,
                                            q->candidate[q->at_candidate], u->type, &r))
                continue;
            if (r.truncated)
                ask_tcp(q, k);
            else if (r.rcode == 0 || r.rcode == 3)
                take_reply(q, u, &r);
            else
                retry(q);
            break;
        }
    }
}

static bool send_question(struct dns_query *q, struct question *u)
{
    char msg[DNS_QUERY_MAX];
    uint16_t id;
    rand_secret(&id, sizeof(id));
    u->id = id;
    size_t n = dns_query_make(id, q->candidate[q->at_candidate], u->type, msg);
    return n > 0 && sys_send(q->watch.fd, msg, n) == (ssize_t)n;
}

static void ask(struct dns_query *q)
{
    const union addr *to = server_of(q);
    int fd = sys_socket(to->sa.sa_family, SOCK_DGRAM);
    timer_set(q->loop, &q->timer, loop_now(q->loop) + q->conf.timeout);
    if (fd < 0)
        return; /* the timer tries again */
    if (sys_connect(fd, to) != 0 || !loop_watch(q->loop, &q->watch, fd, LOOP_IN)) {
        (void)sys_close(fd);
        return;
    }
    q->watching = true;
    for (size_t i = 0; i < 2; i++)
        if (!q->q[i].done)
            (void)send_question(q, &q->q[i]);
}

static void on_timer(struct timer *t)
{
    struct dns_query *q = CONTAINER_OF(t, struct dns_query, timer);
    if (q->finished)
        tell(q);
    else if (q->n_candidates == 0)
        finish(q, q->error);
    else if (!q->watching && q->tries == 0 && q->at_candidate == 0 && !q->tcp)
        ask(q);
    else
        retry(q);
}

/* ---- start ---- */
static bool local_answer(struct dns_query *q)
{
    struct str n = q->name;
    q->n = dns_hosts(n, q->v, RESULTS);
    q->ttl = 60;
    if (q->n == 0 && (str_ieq(n, STR("localhost")) ||
                      str_ends(n, STR(".localhost")))) { /* RFC 6761 section 6.3 */
        bool ok = addr_parse(STR("127.0.0.1:0"), &q->v[0]);
        CHECK(ok);
        q->n = 1;
    }
    if (q->n == 0)
        q->ttl = 0;
    return q->n > 0;
}

static void add_candidates(struct dns_query *q)
{
    size_t dots = 0;
    for (size_t i = 0; i < q->name.n; i++)
        dots += q->name.p[i] == '.';
    bool absolute = q->name.n && q->name.p[q->name.n - 1] == '.',
         as_is_first = absolute || dots >= q->conf.ndots;
    if (as_is_first)
        q->candidate[q->n_candidates++] = q->name;
    for (size_t i = 0;
         !absolute && i < q->conf.n_search && q->n_candidates + !as_is_first < CANDIDATES; i++) {
        struct str full =
            arena_fmt(&q->arena, "%.*s.%.*s", STR_FMT(q->name), STR_FMT(q->conf.search[i]));
        if (dns_name_valid(full))
            q->candidate[q->n_candidates++] = full;
    }
    if (!as_is_first)
        q->candidate[q->n_candidates++] = q->name;
}

struct dns_query *dns_resolve(struct loop *l, struct str name, dns_fn *fn, void *arg)
{
    struct dns_query *q = mem_alloc(sizeof(*q));
    if (!q)
        return NULL;
    q->loop = l;
    q->fn = fn;
    q->arg = arg;
    arena_init(&q->arena, 4096, 0);
    timer_init(&q->timer, on_timer);
    q->watch.fn = on_udp;
    q->q[0].type = DNS_A;
    q->q[1].type = DNS_AAAA;
    q->name = arena_str(&q->arena, name);
    if (!dns_name_valid(name)) {
        finish(q, "not a host name");
        return q;
    }
    if (local_answer(q)) {
        finish(q, NULL);
        return q;
    }
    const char *env = getenv("WEIR_DNS_SERVER");
    dns_conf_read(&q->conf, &q->arena);
    if (env && !has_test_server)
        (void)dns_set_server(str_from(env));
    if (has_test_server) {
        q->conf.server[0] = test_server;
        q->conf.n_servers = 1;
    }
    add_candidates(q);
    timer_set(l, &q->timer, loop_now(l) + 1);
    return q;
}
