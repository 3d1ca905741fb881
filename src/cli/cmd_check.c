/* weir check: are these documents good? Binds nothing. */
#include "cli/documents.h"
#include "cli/run_proxy.h"
#include <stdio.h>

static void put(struct arena *a, struct node *map, const char *key, struct str v)
{
    if (v.n)
        node_map_set(a, map, str_from(key), node_string(a, v));
}

static struct node *error_node(struct arena *a, const struct error *e)
{
    struct node *n = node_new(a, NODE_MAP);
    put(a, n, "file", e->file);
    if (e->line)
        node_map_set(a, n, STR("line"), node_int(a, e->line));
    if (e->col)
        node_map_set(a, n, STR("column"), node_int(a, e->col));
    put(a, n, "path", e->path);
    put(a, n, "message", e->msg);
    put(a, n, "severity", e->warning ? STR("warning") : STR("error"));
    return n;
}

/* For editors and pipelines: the same places and messages, on standard output. */
static int report_json(struct arena *a, const struct errors *e)
{
    struct node *root = node_new(a, NODE_MAP), *list = node_new(a, NODE_LIST);
    struct buf b;
    for (size_t i = 0; i < e->n; i++)
        node_list_add(a, list, error_node(a, &e->v[i]));
    node_map_set(a, root, STR("good"), node_bool(a, !errors_any(e)));
    node_map_set(a, root, STR("errors"), list);
    buf_init(&b, 16u << 20);
    json_print(root, 2, &b);
    printf("%.*s\n", STR_FMT(buf_view(&b)));
    buf_fini(&b);
    return errors_any(e) ? EXIT_FAILED : EXIT_DONE;
}

static int run(const struct invocation *in)
{
    struct document_source s = { .paths = in->args };
    struct compiled_documents d;
    struct arena a;
    struct errors e;
    bool json;
    if (s.paths.n == 0)
        return usage_error(in, "nothing to check: give a FILE or DIR");
    if (!invocation_json(in, &json))
        return EXIT_USAGE;
    arena_init(&a, 0, 0);
    errors_init(&e, &a);
    struct world *w = NULL;
    if (documents_compile(&s, &d, &e))
        w = documents_world(&d.compiled.resources, NULL, NULL, &e);
    if (w)
        (void)proxy_check(w, &e);
    errors_sort(&e);
    int code = json ? report_json(&a, &e) : documents_report(&e);
    if (code == EXIT_DONE && !json)
        printf("good: %zu objects, %zu listeners, %zu rules\n", d.model.objects.n,
               world_listeners(w)->n, world_routes(w));
    if (w)
        world_unref(w);
    documents_fini(&d);
    arena_fini(&a);
    return code;
}

static const struct option options[] = { OUTPUT_OPTION, { NULL } };
const struct command cmd_check = {
    .name = "check",
    .args = "FILE|DIR...",
    .summary = "Checks documents, all errors at once; binds nothing.",
    .doc =
        "Exit code 0: good, 1: not. Standard output stays empty of errors, standard error of "
        "all else.\n\nExamples:\n  weir check shop.yaml\n  weir check conf.d -o json",
    .options = options,
    .run = run,
};
