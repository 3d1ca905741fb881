/* Model to snapshot resources: pure and deterministic. The same objects give the same bytes
 * whatever the order of files. */
#pragma once
#include "model/model.h"
#include "snapshot/resource.h"

struct provenance {
    struct str path;   /* "timeout.request" */
    struct str value;  /* as a user would write it; secrets redacted */
    struct str object; /* "Policy/shop-timeouts", or "default" */
    struct str file;
    uint32_t line; /* 0 for defaults */
};
typedef LIST_OF(struct provenance) provenance_list;
struct compiled {
    resource_list resources; /* sealed, sorted by type and name */
    struct map origins;      /* private: policy name → where its fields came from */
};
/* Everything lives on a (m must outlive ret). False with errors: two rules that can never be told
   apart under one listener and host (both places), a section its target cannot honour, routes
   without a listener, … */
bool compile(const struct model *m, struct arena *a, struct compiled *ret, struct errors *e);
void compiled_fini(struct compiled *c);
/* Every field of the merged set named policy (a RES_POLICY name; "" = all defaults), defaults
 * included, and the object that decided it. */
bool compile_provenance(const struct compiled *c, struct str policy, struct arena *a,
                        provenance_list *ret);
