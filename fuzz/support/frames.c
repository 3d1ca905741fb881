/* See frames.h. */
#include "frames.h"

enum { DATA = 0, HEADERS = 1, SETTINGS = 4, PAYLOAD = 512 };

/* HPACK: the static table's index with the high bit, literals without indexing. */
#define GET  "\x82\x86\x84\x41\x01h"
#define POST "\x83\x86\x84\x41\x01h"
#define PATH "\x86\x41\x01h\x04\x02/"
static const struct str requests[] = {
    STR_INIT(GET),
    STR_INIT(POST),
    STR_INIT(POST "\x5c\x01\x35"), /* content-length: 5 */
    STR_INIT("\x82" PATH "2"),
    STR_INIT("\x83" PATH "5"),
    STR_INIT("\x83" PATH "6"),
    STR_INIT("\x82" PATH "8"),
    STR_INIT("\x82" PATH "3"),
    STR_INIT(GET "\x60\x03"
                 "a=1\x60\x03"
                 "b=2"),            /* cookies */
    STR_INIT(GET "\x40\x01X\x01y"), /* a name that is not in lower case */
    STR_INIT("\x40\x01t\x01v"),     /* trailers */
    STR_INIT(GET "\x00\x0aconnection\x05"
                 "close"),
};
static const struct str responses[] = {
    STR_INIT("\x88"),                 /* 200 */
    STR_INIT("\x88\x5c\x01\x35"),     /* content-length: 5 */
    STR_INIT("\x89"),                 /* 204 */
    STR_INIT("\x8b"),                 /* 304 */
    STR_INIT("\x08\x03\x31\x30\x33"), /* 103 */
    STR_INIT("\x08\x03\x31\x30\x31"), /* 101 */
    STR_INIT("\x40\x01t\x01v"),
    STR_INIT("\x88\x82"), /* with a pseudo field of requests */
};

static void send_frame(struct user *u, uint8_t type, uint8_t flags, uint32_t id, struct str payload)
{
    char f[9 + PAYLOAD];
    CHECK(payload.n <= PAYLOAD);
    memcpy(f,
           (char[]){ 0, (char)(payload.n >> 8), (char)payload.n, (char)type, (char)flags, 0, 0,
                     (char)(id >> 8), (char)id },
           9);
    if (payload.n)
        memcpy(f + 9, payload.p, payload.n);
    user_send(u, f, 9 + payload.n);
}

void frames_settings(struct user *u)
{
    send_frame(u, SETTINGS, 0, 0, STR(""));
    send_frame(u, SETTINGS, 1, 0, STR(""));
}

void frames_send(struct user *u, struct script *s, bool server)
{
    uint8_t kind = script_byte(s), flags = script_byte(s), id = script_byte(s);
    if (kind >= 224) { /* no frame at all */
        struct str raw = script_bytes(s, kind - 223u);
        user_send(u, raw.p, raw.n);
    } else if (kind >= 128) {
        const struct str *v = server ? requests : responses;
        size_t n = server ? ARRAY_LEN(requests) : ARRAY_LEN(responses);
        send_frame(u, HEADERS, 4 | (flags & 1), id, v[kind % n]);
    } else if (kind >= 112) {
        char big[PAYLOAD];
        memset(big, 'b', sizeof big);
        send_frame(u, DATA, flags & 1, id, (struct str){ big, sizeof big });
    } else {
        send_frame(u, kind % 12, flags, id, script_bytes(s, script_byte(s)));
    }
}
