/* An HTTP/1 server connection given any bytes. Even first byte: at once and in pieces, which must
   look the same to the user and to the peer. Odd: a script that mixes bytes with what a user and
   time may do. */
#include "support/user.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feed(struct user *u, struct script s, size_t step)
{
    CHECK(user_server(u, false));
    while (s.n) {
        struct str piece = script_bytes(&s, step);
        user_send(u, piece.p, piece.n);
    }
    user_send(u, "\n", 1); /* what is not a line yet is not looked at */
    user_turns(u, 20);
    for (size_t i = 0; i < USER_STREAMS; i++) /* plan 6 waits for this, whenever it came */
        if (u->v[i].s && u->v[i].paused)
            user_act(u, 1, (uint8_t)i);
    user_turns(u, 20);
    user_eof(u);
    user_finish(u);
}

static void compare(struct script s)
{
    static struct user whole, pieces;
    size_t step = 1u + script_byte(&s) % 64;
    feed(&whole, s, SIZE_MAX);
    feed(&pieces, s, step);
    CHECK(whole.seen == pieces.seen && whole.aborted == pieces.aborted);
    if (!whole.aborted && !whole.echoed)
        CHECK(whole.out == pieces.out && whole.out_n == pieces.out_n);
}

static void chaos(struct script s)
{
    static struct user u;
    CHECK(user_server(&u, true));
    while (s.n) {
        uint8_t op = script_byte(&s);
        if (op < 160) {
            struct str piece = script_bytes(&s, 1u + op % 80);
            user_send(&u, piece.p, piece.n);
        } else {
            user_other(&u, &s, op, 160);
        }
    }
    user_finish(&u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script s = { data, size };
    if (script_byte(&s) & 1)
        chaos(s);
    else
        compare(s);
    return 0;
}
