/* What an HTTP/2 client may do before it counts as abuse (T17, T18): budgets of frames that cost
   work and ask for nothing. Each is a burst and what comes back a second. Loop thread only. */
#include "http/h2_priv.h"

enum {
    CONTROL_BURST = 300, /* SETTINGS, PING, PRIORITY, empty DATA, beyond one for what is useful */
    CONTROL_RATE = 100,
    RESET_BURST = 200, /* RST_STREAM from the client before the answer, or from us because of it */
    RESET_RATE = 50,
    NOISE_BURST = 1000, /* WINDOW_UPDATE and unknown frames, beyond NOISE_PER_USEFUL */
    NOISE_RATE = 200,
    NOISE_PER_USEFUL = 4, /* for each stream opened and each DATA frame sent that is worth one:
                             careless clients open two windows for every frame they get */
};

static bool spend(struct h2 *h, struct h2_budget *b, uint32_t burst, uint32_t per_second)
{
    int64_t now = loop_now(h->c->loop);
    uint64_t back = (uint64_t)(now - b->last) * per_second / NS_PER_S;
    if (back > 0) {
        b->spent = back >= b->spent ? 0 : b->spent - (uint32_t)back;
        b->last = now;
    }
    return ++b->spent <= burst;
}

void h2_abuse(struct h2 *h, const char *what)
{
    if (h->abused)
        return;
    h->abused = true;
    if (h->sc)
        server_conn_event(h->sc, HTTP_CONN_ABUSE, what);
    if (!conn_writable(h->c)) {
        conn_abort(h->c, IO_OTHER); /* it does not read either: a GOAWAY would wait for ever */
        return;
    }
    nghttp2_session_terminate_session(h->ng, NGHTTP2_ENHANCE_YOUR_CALM);
    h2_wake(h);
}

void h2_abuse_control(struct h2 *h, const char *what)
{
    if (h->sc && !spend(h, &h->control, CONTROL_BURST, CONTROL_RATE))
        h2_abuse(h, what);
}

void h2_abuse_reset(struct h2 *h, const char *what)
{
    if (h->sc && !spend(h, &h->resets, RESET_BURST, RESET_RATE))
        h2_abuse(h, what);
}

void h2_abuse_noise(struct h2 *h, const char *what)
{
    if (h->sc && !spend(h, &h->noise, NOISE_BURST, NOISE_RATE))
        h2_abuse(h, what);
}

void h2_abuse_useful(struct h2 *h)
{
    h->noise.spent -= h->noise.spent < NOISE_PER_USEFUL ? h->noise.spent : NOISE_PER_USEFUL;
    h->control.spent -= h->control.spent > 0; /* gRPC for Go measures by a PING for each of them */
}
