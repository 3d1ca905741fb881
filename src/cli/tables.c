/* The registries, filled from the folder listings the build made. The only file that knows every
 * filter, algorithm, kind and command. */
#include "cli/command.h"
#include "lb/lb.h"
#include "model/model.h"
#include "proxy/filter.h"

#define X(name) extern const struct filter_type filter_##name;
#include "filters.gen.h"
#undef X
#define X(name) extern const struct lb_type lb_##name;
#include "lb.gen.h"
#undef X
#define X(name) extern const struct kind kind_##name;
#include "kinds.gen.h"
#undef X
#define X(name) extern const struct command name;
#include "commands.gen.h"
#undef X

const struct command *const commands[] = {
#define X(name) &name,
#include "commands.gen.h"
#undef X
    NULL,
};

static const struct filter_type *const filters[] = {
#define X(name) &filter_##name,
#include "filters.gen.h"
#undef X
};
static const struct lb_type *const algorithms[] = {
#define X(name) &lb_##name,
#include "lb.gen.h"
#undef X
};
static const struct kind *const kinds[] = {
#define X(name) &kind_##name,
#include "kinds.gen.h"
#undef X
};

void tables_register(void)
{
    static struct section_info info[ARRAY_LEN(filters)];
    for (size_t i = 0; i < ARRAY_LEN(algorithms); i++)
        registry_add("lb", algorithms[i]->name, NULL, algorithms[i]);
    sections_register();
    for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
        const struct filter_type *f = filters[i];
        info[i] = (struct section_info){ .class = f->class, .layers = f->layers, .filter = f };
        registry_add("policy", f->name, f->schema, &info[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        registry_add("kind", kinds[i]->name, kinds[i]->spec, kinds[i]);
}
