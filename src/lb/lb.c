/* Lookup of balancing algorithms. */
#include "lb/lb.h"

const struct lb_type *lb_find(struct str name)
{
    const struct registry_row *row = registry_find("lb", name);
    return row ? row->extra : NULL;
}
