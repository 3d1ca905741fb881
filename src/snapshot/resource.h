/* What the compiler makes and the wire carries: small named resources, each serialised once and
   named by its content hash. All but routes are canonical JSON of a schema-described struct with
   defaults left out; routes are the flat table of route_table.h. */
#pragma once
#include "base/error.h"

enum resource_type {
    RES_LISTENER,
    RES_CLUSTER,
    RES_ENDPOINTS,
    RES_POLICY,
    RES_SECRET,
    RES_ROUTES,
    RES_TYPES
};
struct resource {
    uint8_t type;
    struct str name; /* RES_LISTENER "edge/web"; RES_CLUSTER, RES_ENDPOINTS "shop" or "shop/port";
                        RES_POLICY hex hash; RES_SECRET object name; RES_ROUTES
                        "edge/web|shop.example|0": attach point, host ("*" for every host), chunk */
    struct str bytes;
    uint8_t hash[32]; /* SHA-256 of type, name, bytes */
};
typedef LIST_OF(struct resource) resource_list;
extern const char *const resource_type_name[RES_TYPES];
void resource_seal(struct resource *r); /* computes the hash */
