/* weir echo: an upstream that answers with JSON of exactly what it received, and does on request
 * what bad upstreams do. One thread. */
#include "base/log.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/echo.h"
#include "codec/path.h"
#include "crypto/cert_make.h"
#include "io/file.h"
#include "io/signal.h"
#include "io/sys.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>

enum { LISTENERS = 16, PEM_MAX = 1 << 20 };
struct listening {
    struct watch watch;
    struct http_server http;
    struct echo *e;
    int fd;
};

static void on_acceptable(struct watch *w, uint32_t events)
{
    struct listening *l = CONTAINER_OF(w, struct listening, watch);
    union addr peer;
    int fd;
    (void)events;
    while ((fd = sys_accept(l->fd, &peer)) >= 0)
        (void)http_server_accept(&l->http, fd, &peer, l->e->tls);
}

static void on_request(struct http_server *srv, struct http_stream *s, struct http_message *m,
                       bool end)
{
    echo_request(((struct listening *)srv->user)->e, s, m, end);
}

static void on_reject(struct http_server *srv, struct http_stream *s, struct http_message *m,
                      uint16_t status, const char *why)
{
    struct http_message answer = {
        .status = status, .version = HTTP_11, .body = BODY_LENGTH, .length = strlen(why)
    };
    (void)srv, (void)m;
    http_send_head(s, &answer, answer.length == 0);
    if (answer.length) {
        (void)http_send_data(s, why, answer.length);
        http_send_end(s, NULL);
    }
}

static void on_conn(struct http_server *srv, struct conn *c, int event, const char *detail)
{
    (void)srv, (void)c, (void)event, (void)detail;
}

static const struct http_server_events server_events = { .on_request = on_request,
                                                         .on_reject = on_reject,
                                                         .on_conn = on_conn };

static bool listen_on(struct echo *e, struct listening *l, const char *address)
{
    union addr a, bound;
    char text[ADDR_TEXT_MAX];
    CHECK(addr_parse(str_from(address), &a)); /* checked before */
    l->fd = listen_open(&a, (struct listen_opts){ .backlog = 1024 }, &bound);
    if (l->fd < 0)
        return fprintf(stderr, "weir echo: cannot listen on %s: %s\n", address, strerror(errno)),
               false;
    l->e = e;
    l->watch.fn = on_acceptable;
    http_server_init(&l->http, e->loop, &server_events, l);
    l->http.conf = (struct http_server_conf){ .h1 = { .head_bytes = 64 * 1024, .headers = 200 },
                                              .streams = 256,
                                              .h2 = true };
    size_t n = addr_print(&bound, text);
    LOG_INFO("listening", LS("address", ((struct str){ text, n })));
    return loop_watch(e->loop, &l->watch, l->fd, LOOP_IN);
}

static bool read_pem(struct arena *a, const char *path, struct str *ret, struct errors *err)
{
    return file_read(a, path, PEM_MAX, ret) ||
           fail(err, str_from(path), 0, 0, STR(""), "%s: cannot be read: %s", path,
                strerror(errno));
}

/* A certificate of the user's, or one made for this run. */
static bool make_tls(struct echo *e, const struct invocation *in, struct arena *a,
                     struct errors *err)
{
    const char *cert = invocation_option(in, "tls-cert"), *key = invocation_option(in, "tls-key"),
               *ca = invocation_option(in, "client-ca");
    struct tls_pair pair = { { NULL, 0 }, { NULL, 0 } };
    struct tls_server_conf c = { .pairs = { &pair, 1 }, .alpn_h2 = true, .tickets = true };
    struct buf cert_pem, key_pem;
    buf_init(&cert_pem, PEM_MAX);
    buf_init(&key_pem, PEM_MAX);
    bool ok = true;
    if (cert) {
        ok = read_pem(a, cert, &pair.cert_pem, err) && read_pem(a, key, &pair.key_pem, err);
    } else {
        struct str dns[] = { STR("localhost"), STR("*.example") },
                   ips[] = { STR("127.0.0.1"), STR("::1") };
        struct cert_request r = { .common_name = STR("weir echo"),
                                  .dns = { dns, 2 },
                                  .ips = { ips, 2 },
                                  .not_after = 365 * 86400 };
        ok = cert_make(&r, &cert_pem, &key_pem);
        pair = (struct tls_pair){ buf_view(&cert_pem), buf_view(&key_pem) };
    }
    if (ok && ca) {
        c.client_auth = TLS_CLIENT_REQUIRED;
        ok = read_pem(a, ca, &c.client_ca_pem, err);
    }
    if (ok)
        e->tls = tls_server_new(&c, STR("weir echo"), err);
    buf_fini(&cert_pem);
    buf_fini(&key_pem);
    return e->tls != NULL;
}

static void on_signal(void *arg, int signo)
{
    struct echo *e = arg;
    if (signo == SIGTERM || signo == SIGINT)
        loop_stop(e->loop);
}

static int serve(struct echo *e, const struct invocation *in)
{
    static struct listening ls[LISTENERS];
    size_t n = 0;
    const char *address;
    bool ok = true;
    for (size_t i = 0; ok && n < LISTENERS && (address = invocation_next(in, "listen", &i));)
        ok = listen_on(e, &ls[n++], address);
    if (ok && n == 0)
        ok = listen_on(e, &ls[n++], "127.0.0.1:9000");
    struct signals *sig = ok ? signals_watch(e->loop, on_signal, e) : NULL;
    if (sig)
        loop_run(e->loop, NULL, NULL);
    for (size_t i = 0; i < n && ls[i].e; i++) {
        loop_unwatch(e->loop, &ls[i].watch);
        (void)sys_close(ls[i].fd);
        http_server_abort_all(&ls[i].http);
        for (int k = 0; k < 64 && ls[i].http.n_conns; k++)
            loop_turn(e->loop, 0);
        if (ls[i].http.n_conns == 0)
            http_server_fini(&ls[i].http);
    }
    signals_free(sig);
    return ok && sig ? EXIT_DONE : EXIT_FAILED;
}

static int run(const struct invocation *in)
{
    struct echo e = { .name = invocation_option(in, "name"), .status = 200 };
    const char *status = invocation_option(in, "status"), *delay = invocation_option(in, "delay");
    uint64_t code = 200;
    struct arena a;
    struct errors err;
    if (status && (!str_to_u64(str_from(status), &code) || code < 200 || code > 599))
        return usage_error(in, "--status takes a code from 200 to 599, not '%s'", status);
    if (delay && !str_to_dur(str_from(delay), &e.delay))
        return usage_error(in, "--delay takes a duration like 250ms, not '%s'", delay);
    if (!invocation_option(in, "tls-cert") != !invocation_option(in, "tls-key"))
        return usage_error(in, "--tls-cert and --tls-key go together");
    const char *address;
    union addr unused;
    for (size_t i = 0; (address = invocation_next(in, "listen", &i));)
        if (!addr_parse(str_from(address), &unused))
            return usage_error(in, "--listen takes an address like 127.0.0.1:9000, not '%s'",
                               address);
    e.status = (uint16_t)code;
    e.loop = loop_new(0);
    if (!e.loop)
        return EXIT_FAILED;
    arena_init(&a, 0, 0);
    errors_init(&err, &a);
    int result = EXIT_FAILED;
    bool tls = invocation_option(in, "tls") || invocation_option(in, "tls-cert") ||
               invocation_option(in, "client-ca");
    if (!tls || make_tls(&e, in, &a, &err))
        result = serve(&e, in);
    else
        fprintf(stderr, "weir echo: %.*s\n",
                STR_FMT(err.n ? err.v[0].msg : STR("no certificate could be made")));
    if (e.tls)
        tls_unref(e.tls);
    loop_free(e.loop);
    arena_fini(&a);
    return result;
}

static const struct option options[] = {
    { "listen", 'l', "ADDR", "Where to listen (127.0.0.1:9000); port 0 takes a free one", true },
    { "name", 'n', "TEXT", "Name in the answers" },
    { "status", 0, "CODE", "Status of the answers (200)" },
    { "delay", 0, "DUR", "Wait before each answer" },
    { "tls", 0, NULL, "TLS with a certificate made for this run" },
    { "tls-cert", 0, "FILE", "TLS with this certificate" },
    { "tls-key", 0, "FILE", "Its key" },
    { "client-ca", 0, "FILE", "Requires client certificates of these authorities" },
    { NULL },
};
const struct command cmd_echo = {
    .name = "echo",
    .summary = "Runs an upstream that answers with what it received.",
    .doc =
        "It speaks HTTP/1.1, HTTP/2 (in clear by prior knowledge, over TLS by ALPN) and echoes "
        "WebSocket messages.\n"
        "A query steers one answer: ?status=503 ?delay=250ms ?size=1000000 ?chunks=5&interval=1s "
        "?close ?reset ?header=Name:value\n\n"
        "Example:\n  weir echo --listen 127.0.0.1:9001 --name one",
    .options = options,
    .run = run,
};
