/* resolv.conf and hosts: whatever stands there, a usable set-up comes out; comments and empty lines
   change nothing. Input: a name, LF, the text. */
#include "io/dns_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HOSTS = 8 };

static void check_conf(const struct dns_conf *c)
{
    CHECK(c->n_servers >= 1 && c->n_servers <= DNS_SERVERS && c->n_search <= DNS_SEARCH);
    CHECK(c->ndots <= 15 && c->attempts >= 1 && c->attempts <= 5);
    CHECK(c->timeout >= NS_PER_S && c->timeout <= 10 * NS_PER_S);
    for (size_t i = 0; i < c->n_servers; i++)
        CHECK(addr_port(&c->server[i]) == 53);
    for (size_t i = 0; i < c->n_search; i++)
        CHECK(c->search[i].n > 0 && !memchr(c->search[i].p, '\n', c->search[i].n));
}

/* The same text with something of no meaning after every line. */
static struct str padded(struct str text, struct arena *a)
{
    struct str line, rest = text;
    char *out = arena_alloc(a, 16 * text.n + 16), *at = out;
    while (rest.n) {
        size_t n = str_find(rest, '\n');
        line = str_sub(rest, 0, n);
        rest = str_sub(rest, n + 1, rest.n);
        if (line.n)
            memcpy(at, line.p, line.n);
        at += line.n;
        memcpy(at, " ;x\n\n#y\n", 8);
        at += 8;
    }
    return (struct str){ out, (size_t)(at - out) };
}

static void check_same(const struct dns_conf *a, const struct dns_conf *b)
{
    CHECK(a->n_servers == b->n_servers && a->n_search == b->n_search && a->ndots == b->ndots &&
          a->attempts == b->attempts && a->timeout == b->timeout);
    for (size_t i = 0; i < a->n_servers; i++)
        CHECK(addr_equal(&a->server[i], &b->server[i]));
    for (size_t i = 0; i < a->n_search; i++)
        CHECK(str_eq(a->search[i], b->search[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str all = { (const char *)data, size };
    size_t n = str_find(all, '\n');
    struct str name = str_sub(all, 0, n), text = str_sub(all, n + 1, all.n);
    struct dns_conf c, d;
    union addr v[HOSTS], w[HOSTS], one;
    struct arena a;
    arena_init(&a, 0, 0);
    struct str pad = padded(text, &a);
    dns_conf_parse(&c, text, &a);
    check_conf(&c);
    dns_conf_parse(&d, pad, &a);
    check_same(&c, &d);
    size_t found = dns_hosts_find(text, name, v, HOSTS);
    CHECK(found <= HOSTS && found == dns_hosts_find(pad, name, w, HOSTS));
    for (size_t i = 0; i < found; i++)
        CHECK(addr_port(&v[i]) == 0 && addr_equal(&v[i], &w[i]));
    CHECK(dns_hosts_find(text, name, &one, 1) == (found > 0));
    CHECK(!found || addr_equal(&one, &v[0]));
    CHECK(dns_hosts_find(text, STR(""), v, HOSTS) == 0);
    arena_fini(&a);
    return 0;
}
