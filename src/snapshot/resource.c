/* The names of resources and their content hash. Pure; any thread. */
#include "snapshot/resource.h"
#include "crypto/hash.h"

const char *const resource_type_name[RES_TYPES] = {
    [RES_LISTENER] = "listener", [RES_CLUSTER] = "cluster", [RES_ENDPOINTS] = "endpoints",
    [RES_POLICY] = "policy",     [RES_SECRET] = "secret",   [RES_ROUTES] = "routes",
};

/* Type and length of the name go first, so that no two triples give the same stream. */
void resource_seal(struct resource *r)
{
    uint8_t head[8] = { r->type };
    for (unsigned i = 0; i < 4; i++)
        head[4 + i] = (uint8_t)(r->name.n >> 8 * i);
    struct sha256 h;
    sha256_init(&h);
    sha256_add(&h, head, sizeof(head));
    sha256_add(&h, r->name.p, r->name.n);
    sha256_add(&h, r->bytes.p, r->bytes.n);
    sha256_end(&h, r->hash);
}
