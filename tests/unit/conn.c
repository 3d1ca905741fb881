/* Clear connections over loopback: order of callbacks, back-pressure, half-close, lingering, and
 * every single failure. */
#include "io/conn.h"
#include "../harness/harness.h"
#include "base/clock.h"
#include "base/mem.h"
#include "io/sys.h"
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { TURNS = 200000, BULK = 4 << 20 };
struct end {
    struct conn c;
    bool live, opened, echo, reply_at_eof, close_at_eof, pause_often;
    unsigned opens, eofs, drains, closes;
    enum io_err why;
    size_t got, sent, to_send;
    bool wrong; /* a byte was not the one expected */
    size_t peak;
    char last[64];
    size_t last_n;
};
static struct loop *loop;
static struct end client, server;
static int listener;
static struct watch listen_watch;
static union addr bound;

static char pattern(size_t i)
{
    return (char)(i * 31 + (i >> 11));
}

static void produce(struct end *e)
{
    char block[20000];
    while (e->sent < e->to_send && conn_writable(&e->c) && !conn_closing(&e->c)) {
        size_t n = 1 + e->sent * 7 % sizeof block;
        n = n < e->to_send - e->sent ? n : e->to_send - e->sent;
        for (size_t i = 0; i < n; i++)
            block[i] = pattern(e->sent + i);
        e->sent += n;
        size_t room;
        char *to = n <= CONN_ROOM_MIN ? conn_room(&e->c, &room) : NULL;
        if (to) { /* some blocks are made in place */
            EXPECT(room >= n);
            memcpy(to, block, n);
            conn_wrote(&e->c, n);
        } else {
            conn_write(&e->c, block, n);
        }
        if (loop_memory(loop) > e->peak)
            e->peak = loop_memory(loop);
    }
    if (e->to_send && e->sent == e->to_send)
        conn_shutdown(&e->c);
}

static void on_open(struct conn *c)
{
    struct end *e = (struct end *)c;
    e->opens++;
    e->opened = true;
    produce(e);
}
static void on_data(struct conn *c, const char *p, size_t n)
{
    struct end *e = (struct end *)c;
    EXPECT(!conn_closing(c));
    for (size_t i = 0; i < n && !e->echo; i++)
        e->wrong |= p[i] != pattern(e->got + i) && client.to_send;
    e->got += n;
    e->last_n = n < sizeof e->last ? n : sizeof e->last;
    memcpy(e->last, p + n - e->last_n, e->last_n);
    if (e->echo)
        conn_write(c, p, n);
    if (e->pause_often && e->got % 3 == 0)
        conn_read_pause(c);
}
static void on_eof(struct conn *c)
{
    struct end *e = (struct end *)c;
    e->eofs++;
    if (e->reply_at_eof)
        conn_write(c, "late", 4);
    if (e->close_at_eof)
        conn_close(c, (struct dur){ 0 });
}
static void on_drain(struct conn *c)
{
    struct end *e = (struct end *)c;
    e->drains++;
    produce(e);
}
static void on_close(struct conn *c, enum io_err why)
{
    struct end *e = (struct end *)c;
    e->closes++;
    e->why = why;
    e->live = false;
    EXPECT_INT(c->fd, -1);
}
static const struct conn_ops ops = { on_open, on_data, on_eof, on_drain, on_close };

static void on_accept(struct watch *w, uint32_t events)
{
    union addr peer;
    (void)events;
    int fd = sys_accept(w->fd, &peer);
    if (fd >= 0)
        server.live = conn_accept(&server.c, loop, fd, NULL, &ops);
}

static void turns(unsigned n)
{
    while (n-- > 0)
        loop_turn(loop, 0);
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
static bool dial(void)
{
    client.live = conn_connect(&client.c, loop, &bound, NULL, NULL, &ops);
    return client.live;
}
static void connect_both(void)
{
    EXPECT(dial());
    UNTIL(client.opened && server.live);
}
static void finish(void)
{
    if (client.live)
        conn_abort(&client.c, IO_OTHER);
    if (server.live)
        conn_abort(&server.c, IO_OTHER);
    turns(2);
    EXPECT(client.closes <= 1 && server.closes <= 1 && !client.live && !server.live);
    EXPECT_INT(loop_memory(loop), 0);
    EXPECT(!client.wrong && !server.wrong);
}

static void echo(void)
{
    CASE("bytes go there and back; closing in order reaches both sides once");
    reset();
    server.echo = true;
    server.close_at_eof = true;
    connect_both();
    EXPECT_INT(server.opens, 0);
    conn_write(&client.c, "hel", 3);
    conn_write(&client.c, "lo", 2);
    UNTIL(client.got == 5);
    EXPECT_STR(((struct str){ client.last, client.last_n }), STR("hello"));
    EXPECT_INT(loop_memory(loop), 0);
    conn_close(&client.c, (struct dur){ NS_PER_S });
    EXPECT_INT(client.closes, 0);
    UNTIL(client.closes && server.closes);
    EXPECT_INT(client.why, IO_OK);
    EXPECT_INT(server.why, IO_OK);
    EXPECT_INT(server.eofs, 1);
    EXPECT_INT(client.opens, 1);
    finish();
}

static void bulk(void)
{
    CASE("a large body arrives whole; a slow reader stops the producer");
    reset();
    client.to_send = BULK;
    connect_both();
    conn_read_pause(&server.c);
    turns(400);
    size_t stuck = client.sent;
    EXPECT(stuck < BULK || BULK < (8 << 20));
    EXPECT(client.peak <= CONN_HIGH + 4 * CHUNK_BYTES);
    conn_read_resume(&server.c);
    server.pause_often = true;
    for (unsigned t = 0; t < TURNS && server.eofs == 0; t++) {
        loop_turn(loop, 0);
        conn_read_resume(&server.c);
    }
    EXPECT_INT(server.got, BULK);
    EXPECT_INT(server.eofs, 1);
    EXPECT(client.sent == BULK);
    finish();
}

static void short_io(void)
{
    CASE("one byte at a time changes nothing");
    reset();
    sys_short_io(1);
    client.to_send = 30000;
    connect_both();
    UNTIL(server.eofs == 1);
    EXPECT_INT(server.got, 30000);
    finish();
    sys_short_io(0);
}

static void half_close(void)
{
    CASE("after the peer's FIN our side can still answer");
    reset();
    server.reply_at_eof = true;
    connect_both();
    conn_write(&client.c, "q", 1);
    conn_shutdown(&client.c);
    UNTIL(client.got == 4);
    EXPECT_INT(server.eofs, 1);
    conn_close(&server.c, (struct dur){ NS_PER_S });
    UNTIL(client.eofs == 1 && server.closes == 1);
    EXPECT_INT(server.why, IO_OK);
    finish();
}

static void pausing(void)
{
    CASE("a paused connection is silent, also when the peer closes, and wakes up complete");
    reset();
    connect_both();
    conn_read_pause(&server.c);
    conn_write(&client.c, "abc", 3);
    conn_shutdown(&client.c);
    turns(10);
    EXPECT_INT(server.got + server.eofs, 0);
    EXPECT(!(server.c.events & 2)); /* no busy loop: input is not watched */
    conn_read_resume(&server.c);
    UNTIL(server.eofs == 1);
    EXPECT_INT(server.got, 3);

    CASE("both sides shut: the hang-up does not keep the loop awake");
    conn_read_pause(&client.c);
    conn_shutdown(&server.c);
    turns(10);
    EXPECT_INT(client.eofs, 0);
    EXPECT_INT(client.c.events, 0);
    EXPECT_INT(server.c.events, 0);
    conn_read_resume(&client.c);
    UNTIL(client.eofs == 1);
    finish();

    CASE("a reset reaches a paused connection");
    reset();
    connect_both();
    conn_read_pause(&server.c);
    conn_abort(&client.c, IO_OTHER);
    UNTIL(server.closes == 1);
    EXPECT_INT(server.why, IO_RESET);
    EXPECT_INT(client.why, IO_OTHER);
    finish();
}

static void failures(void)
{
    CASE("nobody listens: refused, told once");
    reset();
    union addr none;
    struct listen_opts lo = { .backlog = 1 };
    int fd = listen_open(&bound, lo, &none), tmp;
    EXPECT(fd < 0 && errno == EADDRINUSE);
    EXPECT(addr_parse(STR("127.0.0.1:0"), &none));
    tmp = listen_open(&none, lo, &none);
    EXPECT(tmp >= 0);
    sys_close(tmp);
    client.live = conn_connect(&client.c, loop, &none, NULL, NULL, &ops);
    UNTIL(client.closes == 1);
    EXPECT_INT(client.why, IO_REFUSED);
    EXPECT_INT(client.opens, 0);

    CASE("over the chunk limit the connection ends, the loop lives");
    reset();
    connect_both();
    loop_set_memory_limit(loop, CHUNK_BYTES);
    static char big[4000];
    conn_read_pause(&server.c);
    for (unsigned i = 0; i < 20; i++)
        conn_write(&client.c, big, sizeof big);
    UNTIL(client.closes == 1);
    EXPECT_INT(client.why, IO_MEMORY);
    loop_set_memory_limit(loop, (size_t)1 << 30);
    finish();
}

static void lingering(void)
{
    CASE("a closed connection waits for the peer at most linger");
    reset();
    clock_set_virtual(clock_mono(), clock_wall());
    connect_both();
    conn_write(&server.c, "bye", 3);
    conn_close(&server.c, (struct dur){ 2 * NS_PER_S });
    UNTIL(client.eofs == 1);
    EXPECT_INT(client.got, 3);
    conn_write(&client.c, "more", 4); /* read and forgotten */
    turns(10);
    EXPECT_INT(server.closes + server.got, 0);
    clock_advance((struct dur){ 3 * NS_PER_S });
    UNTIL(server.closes == 1);
    EXPECT_INT(server.why, IO_OK);
    finish();

    CASE("a peer that never reads cannot hold a closed connection");
    reset();
    connect_both();
    conn_read_pause(&client.c);
    static char block[65536];
    while (conn_write(&server.c, block, sizeof block)) {
    }
    conn_close(&server.c, (struct dur){ 0 });
    turns(10);
    EXPECT_INT(server.closes, 0);
    clock_advance((struct dur){ (CONN_FLUSH_TIME + 1) * NS_PER_S });
    UNTIL(server.closes == 1);
    EXPECT_INT(server.why, IO_RESET);
    finish();
    clock_set_real();
}

/* A whole life, ended from outside if a failure left it hanging. */
static void life(void)
{
    reset();
    server.echo = true;
    server.close_at_eof = true;
    client.to_send = 9000;
    if (dial())
        for (unsigned t = 0; t < 60 && (client.live || server.live); t++)
            loop_turn(loop, t < 30 ? 0 : NS_PER_MS);
}

static void sweeps(void)
{
    CASE("any system call may fail: one on_close each, no leak");
    for (unsigned n = 1; n < 40; n++) {
        sys_fail_nth(n);
        life();
        sys_fail_nth(0);
        finish();
    }
    CASE("any allocation may fail");
    for (unsigned n = 1; n < 12; n++) {
        mem_fail_nth(n);
        life();
        mem_fail_nth(0);
        finish();
    }
}

void unit_conn(void);
void unit_conn(void)
{
    loop = loop_new(0);
    EXPECT(loop != NULL);
    EXPECT(sizeof(struct conn) <= 80);
    EXPECT(addr_parse(STR("127.0.0.1:0"), &bound));
    listener = listen_open(&bound, (struct listen_opts){ .backlog = 64 }, &bound);
    EXPECT(listener >= 0 && addr_port(&bound) != 0);
    listen_watch.fn = on_accept;
    if (!loop || !loop_watch(loop, &listen_watch, listener, EPOLLIN))
        return;
    echo();
    bulk();
    short_io();
    half_close();
    pausing();
    failures();
    lingering();
    sweeps();
    loop_unwatch(loop, &listen_watch);
    sys_close(listener);
    loop_free(loop);
}
