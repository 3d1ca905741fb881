/* An HTTP/1 client connection whose upstream sends any bytes. Even first byte: one request, the
   answer at once and in pieces, which must look the same. Odd: a script that mixes requests, bytes
   and what a user and time may do. */
#include "support/user.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feed(struct user *u, struct script s, uint8_t plan, size_t step)
{
    CHECK(user_client(u, PROTO_H1) && u->opened);
    user_request(u, plan & 15);
    user_turns(u, 4);
    while (s.n) {
        struct str piece = script_bytes(&s, step);
        user_send(u, piece.p, piece.n);
    }
    user_send(u, "\n", 1); /* what is not a line yet is not looked at */
    user_turns(u, 4);
    user_eof(u);
    user_finish(u);
}

static void compare(struct script s)
{
    static struct user whole, pieces;
    uint8_t plan = script_byte(&s);
    size_t step = 1u + script_byte(&s) % 64;
    feed(&whole, s, plan, SIZE_MAX);
    feed(&pieces, s, plan, step);
    CHECK(whole.seen == pieces.seen && whole.out == pieces.out);
}

static void chaos(struct script s)
{
    static struct user u;
    CHECK(user_client(&u, PROTO_H1));
    while (s.n) {
        uint8_t op = script_byte(&s);
        if (op < 140) {
            struct str piece = script_bytes(&s, 1u + op % 70);
            user_send(&u, piece.p, piece.n);
        } else if (op < 200) {
            user_request(&u, script_byte(&s));
            user_turns(&u, 1);
        } else {
            user_other(&u, &s, op, 200);
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
