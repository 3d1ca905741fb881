/* TLS over loopback with certificates made here: selection by name, ALPN, client certificates,
 * refusals, truncation, every failure. */
#include "tls/tls.h"
#include "../harness/harness.h"
#include "base/mem.h"
#include "crypto/cert_make.h"
#include "io/sys.h"
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TURNS = 20000, BULK = 1 << 20 };
struct pem {
    struct buf cert, key;
};
static struct arena arena;
static struct errors errors;
static struct pem ca, other_ca, leaf_a, leaf_b, leaf_star, expired, client_pair, nul_pair;

static struct str view(const struct buf *b)
{
    return buf_view(b);
}

static void make(struct pem *p, struct cert_request r, const struct pem *issuer)
{
    buf_init(&p->cert, 65536);
    buf_init(&p->key, 65536);
    if (issuer) {
        r.issuer_cert_pem = view(&issuer->cert);
        r.issuer_key_pem = view(&issuer->key);
    }
    EXPECT(cert_make(&r, &p->cert, &p->key));
}

static void make_all(void)
{
    static struct str a[] = { STR_INIT("a.example"), STR_INIT("A2.example") },
                      b[] = { STR_INIT("b.example") }, star[] = { STR_INIT("*.w.example") },
                      ip[] = { STR_INIT("127.0.0.1") }, nul[] = { STR_INIT("a.example\0.evil") };
    make(&ca, (struct cert_request){ .common_name = STR("Root"), .ca = true }, NULL);
    make(&other_ca, (struct cert_request){ .common_name = STR("Other"), .ca = true }, NULL);
    make(&leaf_a,
         (struct cert_request){ .common_name = STR("a"), .dns = { a, 2 }, .ips = { ip, 1 } }, &ca);
    make(&leaf_b, (struct cert_request){ .common_name = STR("b"), .dns = { b, 1 } }, &ca);
    make(&leaf_star, (struct cert_request){ .common_name = STR("star"), .dns = { star, 1 } }, &ca);
    make(&expired,
         (struct cert_request){
             .common_name = STR("old"), .dns = { a, 1 }, .not_before = -7200, .not_after = -3600 },
         &ca);
    make(&client_pair,
         (struct cert_request){ .common_name = STR("cli, ent"),
                                .uri = STR("spiffe://mesh/ns/shop") },
         &ca);
    make(&nul_pair, (struct cert_request){ .common_name = STR("nul"), .dns = { nul, 1 } }, &ca);
}

/* ---- two ends ---- */

struct end {
    struct conn c;
    bool live, echo;
    unsigned opens, eofs, closes;
    enum io_err why;
    char error[80];
    size_t got, to_send, sent;
    bool wrong;
};
static struct loop *loop;
static struct end client, server;
static struct tls_ctx *server_ctx, *client_ctx;
static int listener;
static struct watch listen_watch;
static union addr bound;

static void produce(struct end *e)
{
    char block[40000];
    while (e->sent < e->to_send && conn_writable(&e->c) && !conn_closing(&e->c)) {
        size_t n = 1 + e->sent * 7 % sizeof block;
        n = n < e->to_send - e->sent ? n : e->to_send - e->sent;
        for (size_t i = 0; i < n; i++)
            block[i] = (char)((e->sent + i) * 31);
        e->sent += n;
        conn_write(&e->c, block, n);
    }
    if (e->to_send && e->sent == e->to_send)
        conn_shutdown(&e->c);
}
static void on_open(struct conn *c)
{
    struct end *e = (struct end *)c;
    e->opens++;
    produce(e);
}
static void on_data(struct conn *c, const char *p, size_t n)
{
    struct end *e = (struct end *)c;
    EXPECT(e->opens == 1 && n > 0 && n <= CONN_RECV_MAX);
    for (size_t i = 0; i < n; i++)
        e->wrong |= p[i] != (char)((e->got + i) * 31);
    e->got += n;
    if (e->echo)
        conn_write(c, p, n);
}
static void on_eof(struct conn *c)
{
    struct end *e = (struct end *)c;
    e->eofs++;
    if (e->echo)
        conn_close(c, (struct dur){ 0 });
}
static void on_drain(struct conn *c)
{
    produce((struct end *)c);
}
static void on_close(struct conn *c, enum io_err why)
{
    struct end *e = (struct end *)c;
    e->closes++;
    e->why = why;
    e->live = false;
    snprintf(e->error, sizeof e->error, "%s", conn_tls_error(c));
}
static const struct conn_ops ops = { on_open, on_data, on_eof, on_drain, on_close };

static void on_accept(struct watch *w, uint32_t events)
{
    union addr peer;
    (void)events;
    int fd = sys_accept(w->fd, &peer);
    if (fd >= 0)
        server.live = conn_accept(&server.c, loop, fd, server_ctx, &ops);
}

#define UNTIL(cond)                                        \
    do {                                                   \
        for (unsigned t_ = 0; t_ < TURNS && !(cond); t_++) \
            loop_turn(loop, 20 * NS_PER_MS);               \
        EXPECT(cond);                                      \
    } while (0)

static void reset(void)
{
    memset(&client, 0, sizeof client);
    memset(&server, 0, sizeof server);
}
static void finish(void)
{
    if (client.live)
        conn_abort(&client.c, IO_OTHER);
    if (server.live)
        conn_abort(&server.c, IO_OTHER);
    for (unsigned i = 0; i < 100 && (client.live || server.live); i++)
        loop_turn(loop, 0);
    EXPECT(!client.live && !server.live && client.closes <= 1 && server.closes <= 1);
    EXPECT(!client.wrong && !server.wrong);
    EXPECT_INT(loop_memory(loop), 0);
}
static bool dial(const char *sni)
{
    return client.live = conn_connect(&client.c, loop, &bound, client_ctx, sni, &ops);
}

static struct tls_ctx *server_of(struct tls_server_conf c)
{
    struct tls_ctx *t = tls_server_new(&c, STR("listener"), &errors);
    EXPECT(t != NULL);
    return t;
}
static struct tls_ctx *client_of(struct tls_client_conf c)
{
    if (c.ca_pem.n == 0)
        c.ca_pem = view(&ca.cert);
    struct tls_ctx *t = tls_client_new(&c, STR("service"), &errors);
    EXPECT(t != NULL);
    return t;
}
#define PAIR(x)                         \
    {                                   \
        view(&(x).cert), view(&(x).key) \
    }
static void use(struct tls_ctx *s, struct tls_ctx *c)
{
    tls_unref(server_ctx);
    tls_unref(client_ctx);
    server_ctx = s;
    client_ctx = c;
}
static void three_pairs(struct tls_server_conf more, struct tls_client_conf cli)
{
    struct tls_pair v[] = { PAIR(leaf_a), PAIR(leaf_b), PAIR(leaf_star) };
    more.pairs = (tls_pair_list){ v, 3 };
    cli.verify = true;
    use(server_of(more), client_of(cli));
}

/* ---- cases ---- */

static void echo_life(size_t n)
{
    reset();
    server.echo = true;
    client.to_send = n;
    if (dial("a.example"))
        for (unsigned t = 0; t < TURNS && (client.eofs == 0 && client.live); t++)
            loop_turn(loop, 20 * NS_PER_MS);
}

static void echoes(void)
{
    struct tls_info i;
    CASE("bytes go through, both close_notify arrive");
    three_pairs((struct tls_server_conf){ .alpn_h2 = true },
                (struct tls_client_conf){ .alpn_h2 = true, .alpn_h1 = true });
    echo_life(100);
    EXPECT_INT(client.got, 100);
    EXPECT_INT(client.opens + server.opens, 2);
    EXPECT_INT(client.eofs, 1);
    EXPECT(tls_info(&client.c, &i));
    EXPECT_STR(i.version, STR("TLSv1.3"));
    EXPECT_STR(i.cipher, STR("TLS_AES_128_GCM_SHA256"));
    EXPECT_STR(i.alpn, STR("h2"));
    EXPECT(tls_handshake_time(&client.c).ns > 0);
    conn_close(&client.c, (struct dur){ 0 });
    UNTIL(client.closes == 1 && server.closes == 1);
    EXPECT_INT(client.why, IO_OK);
    EXPECT_INT(server.why, IO_OK);
    finish();

    CASE("a large body survives, in pieces of any size, also byte by byte");
    echo_life(BULK);
    EXPECT_INT(client.got, BULK);
    finish();
    sys_short_io(1);
    echo_life(2000);
    sys_short_io(0);
    EXPECT_INT(client.got, 2000);
    finish();
    sys_short_io(777);
    echo_life(100000);
    sys_short_io(0);
    EXPECT_INT(client.got, 100000);
    finish();
}

static void names_one(const char *sni, unsigned pair, const char *want)
{
    struct tls_info i;
    reset();
    EXPECT(dial(sni));
    UNTIL(server.opens == 1 || client.closes == 1);
    EXPECT_INT(client.closes, 0);
    EXPECT(tls_info(&server.c, &i));
    EXPECT_INT(i.pair, pair);
    EXPECT_STR(i.sni, str_from(want));
    EXPECT(!i.peer_verified);
    finish();
}

static void names(void)
{
    CASE("certificates by server name: exact, wildcard of one label, else the first");
    three_pairs((struct tls_server_conf){ 0 }, (struct tls_client_conf){ 0 });
    names_one("a.example", 0, "a.example");
    names_one("a2.EXAMPLE", 0, "a2.example");
    names_one("B.example", 1, "b.example");
    names_one("x.w.example", 2, "x.w.example");
    names_one("127.0.0.1", 0, "");

    CASE("the chosen certificate says which hosts it covers");
    reset();
    EXPECT(dial("x.w.example"));
    UNTIL(server.opens == 1);
    EXPECT(tls_covers_host(&server.c, STR("y.W.example")));
    EXPECT(!tls_covers_host(&server.c, STR("x.y.w.example")));
    EXPECT(!tls_covers_host(&server.c, STR("w.example")));
    EXPECT(!tls_covers_host(&server.c, STR("a.example")));
    finish();
    reset();
    EXPECT(dial("127.0.0.1"));
    UNTIL(server.opens == 1);
    EXPECT(tls_covers_host(&server.c, STR("127.0.0.1")));
    EXPECT(tls_covers_host(&server.c, STR("a2.example")));
    finish();
}

static void refuse(const char *sni, enum io_err want, const char *text)
{
    reset();
    EXPECT(dial(sni));
    UNTIL(client.closes == 1);
    EXPECT_INT(client.opens, 0);
    EXPECT_INT(client.why, want);
    EXPECT_STR(str_from(client.error), str_from(text));
    EXPECT_INT(server.got, 0);
    UNTIL(server.closes == 1 || !server.live);
    finish();
}

static void verification(void)
{
    CASE("a client refuses a wrong name, an unknown CA, an expired certificate, a name with NUL");
    three_pairs((struct tls_server_conf){ 0 }, (struct tls_client_conf){ 0 });
    refuse("nobody.example", IO_TLS_VERIFY, "hostname mismatch");
    refuse("127.0.0.2", IO_TLS_VERIFY, "IP address mismatch");
    refuse(NULL, IO_TLS_VERIFY, "no usable server name to verify");
    three_pairs((struct tls_server_conf){ 0 },
                (struct tls_client_conf){ .ca_pem = view(&other_ca.cert) });
    refuse("a.example", IO_TLS_VERIFY, "unable to get local issuer certificate");
    struct tls_pair old = PAIR(expired), nul = PAIR(nul_pair);
    size_t warnings = errors.warnings;
    use(server_of((struct tls_server_conf){ .pairs = { &old, 1 } }),
        client_of((struct tls_client_conf){ .verify = true, .name = STR("a.example") }));
    EXPECT_INT(errors.warnings, warnings + 1);
    refuse(NULL, IO_TLS_VERIFY, "certificate has expired");
    use(server_of((struct tls_server_conf){ .pairs = { &nul, 1 } }),
        client_of((struct tls_client_conf){ .verify = true, .name = STR("a.example") }));
    refuse(NULL, IO_TLS_VERIFY, "hostname mismatch");

    CASE("with verification off everything goes");
    use(server_of((struct tls_server_conf){ .pairs = { &old, 1 } }),
        client_of((struct tls_client_conf){ 0 }));
    names_one("x.example", 0, "x.example");
}

static void alpn(void)
{
    struct tls_info i;
    CASE("ALPN: h2 only when both want it; nothing in common ends the handshake");
    three_pairs((struct tls_server_conf){ 0 },
                (struct tls_client_conf){ .alpn_h2 = true, .alpn_h1 = true });
    reset();
    EXPECT(dial("b.example"));
    UNTIL(server.opens == 1);
    EXPECT(tls_info(&server.c, &i));
    EXPECT_STR(i.alpn, STR("http/1.1"));
    finish();
    three_pairs((struct tls_server_conf){ 0 }, (struct tls_client_conf){ .alpn_h2 = true });
    refuse("a.example", IO_TLS, "tlsv1 alert no application protocol");
    three_pairs((struct tls_server_conf){ .alpn_none = true },
                (struct tls_client_conf){ .alpn_h2 = true });
    reset();
    EXPECT(dial("a.example"));
    UNTIL(server.opens == 1);
    EXPECT(tls_info(&server.c, &i));
    EXPECT_STR(i.alpn, STR(""));
    finish();
}

static void client_certificates(void)
{
    struct tls_info i;
    struct tls_pair cp = PAIR(client_pair);
    struct tls_server_conf req = { .client_auth = TLS_CLIENT_REQUIRED,
                                   .client_ca_pem = view(&ca.cert) };
    CASE("a client certificate is verified and its identity read");
    three_pairs(req, (struct tls_client_conf){ .pair = cp });
    reset();
    EXPECT(dial("b.example"));
    UNTIL(server.opens == 1);
    for (unsigned k = 0; k < 2; k++) {
        EXPECT(tls_info(&server.c, &i));
        EXPECT(i.peer_verified);
        EXPECT_STR(i.peer_uri, STR("spiffe://mesh/ns/shop"));
        EXPECT_STR(i.peer_subject, STR("CN=cli\\, ent"));
        EXPECT_INT(i.peer_sha256.n, 64);
        EXPECT_INT(i.pair, 1);
    }
    finish();

    CASE("a NUL inside a name of the client certificate fails verification");
    three_pairs(req, (struct tls_client_conf){ .pair = PAIR(nul_pair) });
    reset();
    EXPECT(dial("b.example"));
    UNTIL(server.closes == 1);
    EXPECT_INT(server.why, IO_TLS_VERIFY);
    EXPECT_STR(str_from(server.error), STR("invalid or inconsistent certificate extension"));
    EXPECT_INT(server.opens, 0);
    finish();

    CASE(
        "required: none, or one of an unknown CA, is refused; optional: none is fine, a bad one is "
        "not");
    three_pairs(req, (struct tls_client_conf){ 0 });
    reset();
    EXPECT(dial("a.example"));
    UNTIL(server.closes == 1);
    EXPECT_INT(server.why, IO_TLS_VERIFY);
    EXPECT_STR(str_from(server.error), STR("peer did not return a certificate"));
    EXPECT_INT(server.opens, 0);
    finish();
    req.client_ca_pem = view(&other_ca.cert);
    for (unsigned k = 0; k < 2; k++) {
        req.client_auth = k ? TLS_CLIENT_REQUIRED : TLS_CLIENT_OPTIONAL;
        three_pairs(req, (struct tls_client_conf){ .pair = cp });
        reset();
        EXPECT(dial("a.example"));
        UNTIL(server.closes == 1);
        EXPECT_INT(server.why, IO_TLS_VERIFY);
        EXPECT_INT(server.opens, 0);
        finish();
    }
    req.client_auth = TLS_CLIENT_OPTIONAL;
    three_pairs(req, (struct tls_client_conf){ 0 });
    names_one("a.example", 0, "a.example");
}

static void bad_contexts(void)
{
    struct tls_pair p = { view(&leaf_a.cert), view(&leaf_b.key) };
    struct tls_server_conf c = { .pairs = { &p, 1 } };
    size_t n = errors.n;
    CASE("contexts that cannot work say why");
    EXPECT(!tls_server_new(&c, STR("l"), &errors));
    EXPECT_STR(errors.v[n].msg, STR("key: does not match the certificate"));
    p = (struct tls_pair){ STR("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
                           view(&leaf_a.key) };
    EXPECT(!tls_server_new(&c, STR("l"), &errors));
    EXPECT_STR(errors.v[n + 1].msg, STR("certificate: unreadable PEM certificate"));
    p = (struct tls_pair){ view(&leaf_a.cert), STR("x") };
    EXPECT(!tls_server_new(&c, STR("l"), &errors));
    EXPECT_STR(errors.v[n + 2].msg, STR("key: no PEM private key found"));
    p = (struct tls_pair)PAIR(leaf_a);
    c.client_auth = TLS_CLIENT_REQUIRED;
    EXPECT(!tls_server_new(&c, STR("l"), &errors));
    EXPECT_STR(errors.v[n + 3].msg, STR("client CA: no PEM certificate found"));
    EXPECT_INT(errors.n, n + 4);

    CASE("names and expiry of a certificate");
    str_list dns;
    int64_t until = 0;
    EXPECT(tls_pair_names(&arena, view(&leaf_a.cert), &dns, &until));
    EXPECT_INT(dns.n, 2);
    EXPECT_STR(dns.v[1], STR("a2.example"));
    EXPECT(until > 1700000000);
}

/* ---- a peer that writes raw bytes ---- */

static int raw_peer(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT(fd >= 0 && connect(fd, &bound.sa, addr_len(&bound)) == 0);
    return fd;
}

static void hostile(void)
{
    static const char http[] = "GET / HTTP/1.1\r\n\r\n", app[] = "\x17\x03\x03\x00\x05hello";
    CASE("clear text and records before the handshake are never delivered");
    three_pairs((struct tls_server_conf){ 0 }, (struct tls_client_conf){ 0 });
    for (unsigned k = 0; k < 2; k++) {
        reset();
        int fd = raw_peer();
        EXPECT(k ? send(fd, app, sizeof app - 1, 0) > 0 : send(fd, http, sizeof http - 1, 0) > 0);
        shutdown(fd, SHUT_WR);
        UNTIL(server.closes == 1);
        EXPECT_INT(server.why, IO_TLS);
        EXPECT_INT(server.got + server.opens, 0);
        close(fd);
    }
    CASE("a peer that goes away before the handshake is an end, not a failure");
    reset();
    int fd = raw_peer();
    close(fd);
    UNTIL(server.closes == 1);
    EXPECT_INT(server.why, IO_EOF);

    CASE("a FIN without close_notify is a truncation");
    reset();
    EXPECT(dial("a.example"));
    UNTIL(server.opens == 1);
    EXPECT_INT(shutdown(client.c.fd, SHUT_WR), 0);
    UNTIL(server.closes == 1);
    EXPECT_INT(server.why, IO_RESET);
    EXPECT_INT(server.eofs, 0);
    finish();
}

static void sweeps(void)
{
    CASE("any system call or allocation may fail during a life: one on_close each, no leak");
    three_pairs((struct tls_server_conf){ 0 }, (struct tls_client_conf){ 0 });
    for (unsigned n = 1; n < 30; n++) {
        sys_fail_nth(n);
        reset();
        server.echo = true;
        client.to_send = 30000;
        if (dial("a.example"))
            for (unsigned t = 0; t < 60 && (client.live || server.live) && client.eofs == 0; t++)
                loop_turn(loop, t < 30 ? 0 : NS_PER_MS);
        sys_fail_nth(0);
        finish();
    }
    for (unsigned n = 1; n < 12; n++) {
        mem_fail_nth(n);
        reset();
        server.echo = true;
        client.to_send = 30000;
        if (dial("a.example"))
            for (unsigned t = 0; t < 60 && (client.live || server.live) && client.eofs == 0; t++)
                loop_turn(loop, t < 30 ? 0 : NS_PER_MS);
        mem_fail_nth(0);
        finish();
    }
}

void unit_tls(void);
void unit_tls(void)
{
    arena_init(&arena, 0, 0);
    errors_init(&errors, &arena);
    make_all();
    loop = loop_new(0);
    EXPECT(loop && addr_parse(STR("127.0.0.1:0"), &bound));
    listener = listen_open(&bound, (struct listen_opts){ .backlog = 64 }, &bound);
    listen_watch.fn = on_accept;
    if (!loop || !loop_watch(loop, &listen_watch, listener, EPOLLIN))
        return;
    echoes();
    names();
    verification();
    alpn();
    client_certificates();
    bad_contexts();
    hostile();
    sweeps();
    use(NULL, NULL);
    loop_unwatch(loop, &listen_watch);
    sys_close(listener);
    loop_free(loop);
    struct pem *all[] = { &ca,        &other_ca, &leaf_a,      &leaf_b,
                          &leaf_star, &expired,  &client_pair, &nul_pair };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        buf_fini(&all[i]->cert);
        buf_fini(&all[i]->key);
    }
    arena_fini(&arena);
}
