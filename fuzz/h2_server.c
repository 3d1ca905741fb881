/* An HTTP/2 server connection given frames in any order, with any contents, while its user and time
   do what they may. */
#include "support/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct user u;
    struct script s = { data, size };
    CHECK(user_server(&u, true));
    user_send(&u, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    frames_settings(&u);
    while (s.n) {
        uint8_t op = script_byte(&s);
        if (op < 200) {
            frames_send(&u, &s, true);
        } else {
            user_other(&u, &s, op, 200);
        }
    }
    user_finish(&u);
    return 0;
}
