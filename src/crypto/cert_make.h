/* Makes certificates with fresh P-256 keys: for tests, demonstrations and `weir echo --tls`. Any
 * thread. */
#pragma once
#include "base/buf.h"

struct cert_request {
    struct str common_name;
    str_list dns, ips; /* subject alternative names; ips as text */
    struct str uri;    /* "" = none */
    bool ca;
    int64_t not_before, not_after;              /* seconds from now; not_after 0 = one day */
    struct str issuer_cert_pem, issuer_key_pem; /* "" = signs itself */
};
/* Appends PEM to both. False when something in the request is not usable, or memory is out. */
bool cert_make(const struct cert_request *r, struct buf *ret_cert_pem, struct buf *ret_key_pem);
