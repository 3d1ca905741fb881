/* An HTTP/2 client connection whose upstream sends frames in any order, with any contents, while
   its user and time do what they may. */
#include "support/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct user u;
    struct script s = { data, size };
    CHECK(user_client(&u, PROTO_H2));
    if (!(script_byte(&s) & 1))
        frames_settings(&u);
    while (s.n) {
        uint8_t op = script_byte(&s);
        if (op < 150) {
            frames_send(&u, &s, false);
        } else if (op < 210) {
            user_request(&u, script_byte(&s));
            user_turns(&u, 1);
        } else {
            user_other(&u, &s, op, 210);
        }
    }
    user_finish(&u);
    return 0;
}
