/* weir check: are these documents good? Binds nothing. */
#include "cli/documents.h"
#include "cli/run_proxy.h"
#include <stdio.h>

static int run(const struct invocation *in)
{
    struct document_source s = { .paths = in->args };
    struct compiled_documents d;
    struct arena a;
    struct errors e;
    if (s.paths.n == 0)
        return usage_error(in, "nothing to check: give a FILE or DIR");
    arena_init(&a, 0, 0);
    errors_init(&e, &a);
    struct world *w = NULL;
    if (documents_compile(&s, &d, &e))
        w = documents_world(&d.compiled.resources, NULL, &e);
    if (w)
        (void)proxy_check(w, &e);
    errors_sort(&e);
    int code = documents_report(&e);
    if (code == EXIT_DONE)
        printf("good: %zu objects, %zu listeners, %zu rules\n", d.model.objects.n,
               world_listeners(w)->n, world_routes(w));
    if (w)
        world_unref(w);
    documents_fini(&d);
    arena_fini(&a);
    return code;
}

const struct command cmd_check = {
    .name = "check",
    .args = "FILE|DIR...",
    .summary = "Checks documents, all errors at once; binds nothing.",
    .run = run,
};
