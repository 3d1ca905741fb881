/* See user.h. */
#include "user.h"
#include "base/clock.h"
#include "io/sys.h"
#include <sys/socket.h>
#include <unistd.h>

enum { LOOP_TIME = 1000, SEND_BUFFER = 8192 };

static struct user *current; /* one at a time */

static void mix(uint64_t *h, const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++)
        *h = (*h ^ b[i]) * UINT64_C(1099511628211);
}

static void note(char what, struct str s)
{
    mix(&current->seen, &what, 1);
    mix(&current->seen, s.p, s.n);
}

uint8_t script_byte(struct script *s)
{
    return s->n ? (s->n--, *s->p++) : 0;
}

struct str script_bytes(struct script *s, size_t n)
{
    n = n < s->n ? n : s->n;
    struct str r = { (const char *)s->p, n };
    s->p += n;
    s->n -= n;
    return r;
}

/* ---- streams ---- */
static struct user_stream *add(struct http_stream *s, bool client)
{
    for (size_t i = 0; i < USER_STREAMS; i++) {
        struct user_stream *st = &current->v[i];
        if (st->s)
            continue;
        *st = (struct user_stream){ .s = s, .client = client };
        s->user = st;
        return st;
    }
    CHECK(false && "more streams than a connection may have");
    return NULL;
}

static struct user_stream *of(struct http_stream *s)
{
    struct user_stream *st = s->user;
    CHECK(st && st->s == s && st->inside == 0);
    return st;
}

static void check_head(const struct http_message *m)
{
    struct str host;
    uint16_t port;
    for (uint32_t i = 0; i < m->headers.n; i++) {
        const struct header *h = &m->headers.v[i];
        CHECK(header_name_valid(header_name(h)) && header_value_valid(header_value(h)));
        if (!header_live(h))
            continue;
        CHECK(h->id != HDR_TRANSFER_ENCODING && h->id != HDR_CONNECTION && h->id != HDR_UPGRADE);
        note('h', header_name(h));
        note('=', header_value(h));
    }
    CHECK(!m->authority.n || authority_parse(m->authority, &host, &port));
}

static void send_body(struct user_stream *st)
{
    static const char block[4096] = "body";
    bool room = true;
    st->inside++;
    while (room && st->left && !st->sent_end) {
        size_t n = st->left < sizeof block ? (size_t)st->left : sizeof block;
        st->left -= n;
        room = http_send_data(st->s, block, n);
    }
    if (!st->left && !st->sent_end) {
        st->sent_end = true;
        http_send_end(st->s, NULL);
    }
    st->inside--;
}

static void answer(struct user_stream *st, uint16_t status, uint8_t body, uint64_t length, bool end)
{
    struct header hv[4];
    struct http_message m = { .status = status,
                              .version = HTTP_11,
                              .body = body,
                              .length = length,
                              .headers = { hv, 0, 4 },
                              .close_after = st->plan == 7 };
    if (st->sent_head)
        return;
    CHECK(headers_add(&m.headers, STR("X-Plan"), STR("fuzz")));
    st->sent_head = true;
    st->sent_end = end;
    st->left = length;
    st->inside++;
    http_send_head(st->s, &m, end);
    st->inside--;
}

static void end_with_trailers(struct user_stream *st)
{
    struct header hv[2];
    struct headers t = { hv, 0, 2 };
    CHECK(headers_add(&t, STR("x-sum"), STR("1")) && headers_add(&t, STR("grpc-status"), STR("0")));
    st->sent_end = true;
    st->inside++;
    http_send_end(st->s, &t);
    st->inside--;
}

static void drop(struct user_stream *st, enum http_error why)
{
    struct http_stream *s = st->s;
    note('a', STR(""));
    st->s = NULL;
    current->aborted = true;
    http_stream_abort(s, why);
}

/* ---- what streams tell ---- */
/* An answer that does not wait for the body may be through before it, or not. */
static bool answered_early(const struct user_stream *st)
{
    return !st->client && (st->sent_end || st->plan == 8);
}

static void on_end(struct http_stream *s, const struct headers *trailers)
{
    struct user_stream *st = of(s);
    CHECK(!st->got_end && (!st->client || st->headed));
    st->got_end = true;
    mix(&st->hash, &st->got, sizeof st->got);
    if (!answered_early(st)) /* else the body may or may not be told */
        note('e', (struct str){ (const char *)&st->hash, sizeof st->hash });
    for (uint32_t i = 0; trailers && i < trailers->n; i++) {
        const struct header *h = &trailers->v[i];
        CHECK(header_name_valid(header_name(h)) && header_value_valid(header_value(h)));
    }
    if (st->client)
        return;
    if (st->plan == 1 || st->plan == 6)
        answer(st, 200, BODY_LENGTH, st->got, st->got == 0);
    else if (st->plan == 5)
        answer(st, 200, BODY_STREAM, 0, false);
    if (st->plan == 5)
        end_with_trailers(st);
    else if (!st->sent_end)
        send_body(st);
}

static void on_data(struct http_stream *s, const char *p, size_t n)
{
    struct user_stream *st = of(s);
    CHECK(n > 0 && !st->got_end && (!st->client || st->headed));
    st->got += n;
    mix(&st->hash, p, n);
    if (st->client || st->plan != 2 || st->sent_end)
        return;
    current->echoed = true;
    st->inside++;
    (void)http_send_data(s, p, n);
    st->inside--;
}

static void on_drain(struct http_stream *s)
{
    struct user_stream *st = of(s);
    if (st->sent_head && st->left)
        send_body(st);
}

static void on_close(struct http_stream *s, enum http_error e, const char *why)
{
    struct user_stream *st = of(s);
    CHECK(why && (e != HTTP_OK || (st->sent_end && (st->got_end || !st->client))));
    /* A body that breaks after its answer may come before the end of the exchange or after it. */
    note(e == HTTP_OK || answered_early(st) ? 'c' : 'f', STR(""));
    st->s = NULL;
}

static void on_head(struct http_stream *s, struct http_message *m, bool end)
{
    struct user_stream *st = of(s);
    CHECK(st->client && !st->headed && !st->got_end && (m->status >= 200 || m->status == 101));
    st->headed = true;
    st->got_end = end;
    note('H', (struct str){ (const char *)&m->status, sizeof m->status });
    note(end ? '.' : '-', STR(""));
    check_head(m);
    if (m->status == 101) { /* a tunnel: both ends may close it */
        st->sent_end = true;
        st->inside++;
        http_send_end(s, NULL);
        st->inside--;
    }
}

static void on_interim(struct http_stream *s, struct http_message *m)
{
    struct user_stream *st = of(s);
    CHECK(st->client && !st->headed && m->status >= 100 && m->status < 200 && m->status != 101);
    note('i', (struct str){ (const char *)&m->status, sizeof m->status });
    check_head(m);
}

static const struct http_events events = {
    on_head, on_interim, on_data, on_end, on_drain, on_close
};

/* ---- what servers tell ---- */
/* The path says how: "/3" is plan 3. */
static void begin(struct user_stream *st, const struct http_message *m)
{
    st->plan = m->target.n == 2 && m->target.p[1] >= '0' && m->target.p[1] <= '9'
                   ? (uint8_t)(m->target.p[1] - '0')
                   : 1;
    struct http_message interim = { .status = 103, .version = HTTP_11 };
    switch (st->plan) {
    case 0:
        answer(st, 204, BODY_NONE, 0, true);
        return;
    case 2:
        answer(st, 200, BODY_STREAM, 0, false);
        return;
    case 4:
        st->tunnel = m->upgrade.n && !http_stream_is_h2(st->s);
        if (st->tunnel)
            st->got_end = false; /* of the request; the tunnel has an end of its own */
        answer(st, st->tunnel ? 101 : 404, st->tunnel ? BODY_STREAM : BODY_LENGTH, 0, !st->tunnel);
        return;
    case 5:
        st->inside++;
        http_send_interim(st->s, &interim);
        st->inside--;
        return;
    case 6:
        st->paused = true;
        http_pause(st->s, true);
        return;
    case 8:
        answer(st, 200, BODY_LENGTH, USER_BIG, false);
        send_body(st);
        return;
    case 9:
        answer(st, 304, BODY_NONE, 0, true);
        return;
    default:
        return;
    }
}

static void on_request(struct http_server *srv, struct http_stream *s, struct http_message *m,
                       bool end)
{
    struct user_stream *st = add(s, false);
    (void)srv;
    s->ev = &events;
    CHECK(header_name_valid(m->method_text) && m->target.n > 0);
    CHECK(m->target.p[0] == '/' || m->method == METHOD_OPTIONS || m->method == METHOD_CONNECT);
    CHECK(!memchr(m->target.p, ' ', m->target.n) && !memchr(m->target.p, '\n', m->target.n));
    note('R', m->method_text);
    note(' ', m->target);
    note('@', m->authority);
    check_head(m);
    st->got_end = end;
    if (m->target.n == 2 && m->target.p[1] == '3') {
        drop(st, HTTP_ERR_CANCEL);
        return;
    }
    begin(st, m);
    if (!end && st->plan == 8)
        current->aborted = true; /* a body that breaks may cut the answer anywhere */
    if (!end || st->tunnel)
        return;
    st->got_end = false;
    on_end(s, NULL);
}

static void on_reject(struct http_server *srv, struct http_stream *s, struct http_message *m,
                      uint16_t status, const char *why)
{
    struct user_stream *st = add(s, false);
    (void)srv, (void)m;
    s->ev = &events;
    CHECK(status >= 400 && status < 600 && *why);
    note('X', (struct str){ (const char *)&status, sizeof status });
    answer(st, status, BODY_LENGTH, 0, true);
}

static void on_conn(struct http_server *srv, struct conn *c, int event, const char *detail)
{
    (void)srv, (void)c;
    CHECK(detail);
    if (event == HTTP_CONN_ABUSE)
        current->aborted = true;
}

static const struct http_server_events server_events = { on_request, on_reject, on_conn };

/* ---- what clients tell ---- */
static void on_open(struct http_client *c)
{
    CHECK(!current->opened && !current->ended && c->ready);
    current->opened = true;
}

static void on_idle(struct http_client *c)
{
    (void)c; /* may be over its limit: the peer may lower that at any time */
    CHECK(current->opened && !current->gone);
}

static void on_client_end(struct http_client *c, bool gone, enum http_error e, const char *why)
{
    (void)e;
    CHECK(c == current->cl && why && !current->gone && (gone || !current->ended));
    current->ended = true;
    if (!gone)
        return;
    for (size_t i = 0; i < USER_STREAMS; i++)
        CHECK(!current->v[i].s);
    current->gone = true;
    current->cl = NULL;
}

static const struct http_client_events client_events = { on_open, on_idle, on_client_end };

/* ---- driving ---- */
static int other_end;
static int dial(void)
{
    int fd = other_end;
    other_end = -1;
    return fd;
}

static bool start(struct user *u)
{
    static struct loop *loop; /* of all inputs */
    int fd[2], small = SEND_BUFFER;
    if (!loop) {
        clock_set_virtual(LOOP_TIME * NS_PER_S, LOOP_TIME * NS_PER_S);
        loop = loop_new(0);
    }
    CHECK(loop);
    memset(u, 0, sizeof *u);
    u->loop = loop;
    current = u;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) != 0)
        return false;
    (void)setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    u->peer = fd[0];
    other_end = fd[1];
    loop_turn(loop, 0);
    return true;
}

bool user_server(struct user *u, bool h2)
{
    union addr peer;
    if (!start(u) || !addr_parse(STR("192.0.2.1:1"), &peer))
        return false;
    http_server_init(&u->srv, u->loop, &server_events, u);
    u->srv.conf = (struct http_server_conf){ .h1 = { 4096, 50 },
                                             .streams = 64,
                                             .requests = 100,
                                             .h2 = h2,
                                             .header = { 5 * NS_PER_S },
                                             .keep_alive = { 30 * NS_PER_S } };
    return http_server_accept(&u->srv, dial(), &peer, NULL);
}

bool user_client(struct user *u, uint8_t proto)
{
    union addr to;
    struct http_client_conf conf = { .h1 = { 4096, 50 }, .proto = proto };
    if (!start(u) || !addr_parse(STR("192.0.2.1:1"), &to))
        return false;
    sys_dial_with(dial);
    u->cl = http_client_open(u->loop, &to, NULL, NULL, &conf, &client_events, u);
    sys_dial_with(NULL);
    CHECK(u->cl);
    user_turns(u, 2);
    return true;
}

void user_turns(struct user *u, unsigned n)
{
    char block[16384];
    ssize_t got;
    while (n-- > 0) {
        loop_turn(u->loop, 0);
        while (u->peer >= 0 && (got = recv(u->peer, block, sizeof block, 0)) > 0) {
            mix(&u->out, block, (size_t)got);
            u->out_n += (size_t)got;
        }
    }
}

void user_send(struct user *u, const void *p, size_t n)
{
    if (n && u->peer >= 0)
        (void)send(u->peer, p, n, MSG_NOSIGNAL);
    user_turns(u, 2);
}

void user_eof(struct user *u)
{
    if (u->peer >= 0)
        (void)shutdown(u->peer, SHUT_WR);
    user_turns(u, 3);
}

void user_request(struct user *u, uint8_t plan)
{
    static const struct str names[] = { STR_INIT("GET"), STR_INIT("HEAD"), STR_INIT("POST"),
                                        STR_INIT("DELETE") };
    struct str method = names[plan & 3];
    bool post = (plan & 3) == 2;
    if (!u->cl || !u->opened)
        return;
    struct http_stream *s = http_client_request(u->cl, &events, NULL);
    if (!s)
        return;
    struct user_stream *st = add(s, true);
    struct http_message m = { .method_text = method,
                              .method = (uint8_t)http_method_of(method),
                              .version = HTTP_11,
                              .authority = STR("fuzz.example"),
                              .target = STR("/x?y"),
                              .te_trailers = plan & 4 };
    message_split_target(&m);
    if (post) {
        m.body = plan & 8 ? BODY_STREAM : BODY_LENGTH;
        m.length = plan & 16 ? USER_BIG : 10;
    } else if ((plan & 8) && !u->cl->h2) {
        m.upgrade = STR("websocket");
    }
    st->sent_head = true;
    st->sent_end = !post;
    st->left = post ? m.length : 0;
    st->inside++;
    http_send_head(s, &m, !post);
    st->inside--;
    if (post && !(plan & 32))
        send_body(st);
}

static void act_on(struct user_stream *st, uint8_t what)
{
    switch (what % 8) {
    case 0:
    case 1:
        st->paused = what % 8 == 0;
        st->inside++;
        http_pause(st->s, st->paused);
        st->inside--;
        return;
    case 2:
        drop(st, what & 8 ? HTTP_ERR_TIMEOUT : HTTP_ERR_CANCEL);
        return;
    case 3:
        if (!st->client)
            answer(st, 500, BODY_LENGTH, 0, true);
        return;
    case 4:
        if (!st->client)
            answer(st, 200, BODY_LENGTH, USER_BIG, false);
        return;
    case 5:
        if (st->sent_head && !st->sent_end)
            end_with_trailers(st); /* too early, perhaps */
        return;
    default:
        if (st->sent_head && !st->sent_end)
            send_body(st);
        return;
    }
}

void user_act(struct user *u, uint8_t what, uint8_t which)
{
    if (what >= 240) {
        clock_advance((struct dur){ (what - 239) * 400 * NS_PER_MS });
    } else if (what >= 232 && !u->opened && u->srv.ev) {
        if (what < 236)
            http_server_drain(&u->srv);
        else
            http_server_close_idle(&u->srv);
    } else {
        for (size_t i = 0; i < USER_STREAMS; i++) {
            struct user_stream *st = &u->v[(i + which) % USER_STREAMS];
            if (!st->s)
                continue;
            act_on(st, what);
            break;
        }
    }
    user_turns(u, 1);
}

void user_other(struct user *u, struct script *s, uint8_t op, uint8_t eof)
{
    if (op == eof)
        user_eof(u);
    else
        user_act(u, script_byte(s), op);
}

void user_finish(struct user *u)
{
    for (size_t i = 0; i < USER_STREAMS; i++)
        if (u->v[i].s && u->v[i].paused)
            act_on(&u->v[i], 1);
    user_turns(u, 2);
    if (u->srv.ev)
        http_server_abort_all(&u->srv);
    if (u->cl)
        http_client_close(u->cl);
    user_turns(u, 2);
    clock_advance((struct dur){ 60 * NS_PER_S }); /* lingering ends */
    user_turns(u, 2);
    if (u->peer >= 0)
        close(u->peer);
    u->peer = -1;
    user_turns(u, 2);
    for (size_t i = 0; i < USER_STREAMS; i++)
        CHECK(!u->v[i].s);
    CHECK(!u->cl && loop_memory(u->loop) == 0);
    if (u->srv.ev)
        http_server_fini(&u->srv); /* checks that no connection is left */
}
