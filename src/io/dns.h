/* Names to addresses with their time to live, asynchronously: own stub resolver over UDP with TCP
   fallback (resolv.conf, hosts file, A and AAAA, CNAME chains bounded). Replies are checked (id,
   question, source). Loop thread only. */
#pragma once
#include "io/addr.h"
#include "io/loop.h"

struct dns_result {
    const union addr *v; /* port not set */
    size_t n;
    struct dur
        ttl; /* smallest of the answers, clamped to [1 s, 1 h]; for a failure: when to ask again */
    const char *error; /* NULL when it worked */
};
struct dns_query;
typedef void dns_fn(void *arg, const struct dns_result *r);
/* The callback comes in a later turn, once. NULL when memory is out. dns_cancel before it came: no
 * callback. */
struct dns_query *dns_resolve(struct loop *l, struct str name, dns_fn *fn, void *arg);
void dns_cancel(struct dns_query *q);
/* Tests: ask this server instead of resolv.conf ("127.0.0.1:5353"). Also WEIR_DNS_SERVER. */
bool dns_set_server(struct str address);
