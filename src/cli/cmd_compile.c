/* weir compile: documents to a snapshot file, or to JSON to look at. */
#include "base/mem.h"
#include "cli/command.h"
#include "cli/documents.h"
#include "cli/run_proxy.h"
#include "io/file.h"
#include "wire/wire.h"
#include <errno.h>
#include <stdio.h>

static bool write_snapshot(const char *path, const resource_list *r, struct errors *e)
{
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    bool ok = wire_snapshot_write(r, &b) || fail(e, STR(""), 0, 0, STR(""), "out of memory");
    /* A snapshot holds keys. */
    if (ok && !file_replace(path, buf_view(&b), 0600))
        ok = fail(e, str_from(path), 0, 0, STR(""), "cannot be written: %s", strerror(errno));
    buf_fini(&b);
    return ok;
}

static void print_world(const struct world *w, struct arena *a)
{
    struct buf b;
    buf_init(&b, SIZE_MAX / 2);
    json_print(world_describe(w, a), 2, &b);
    fwrite(b.p, 1, b.n, stdout);
    putchar('\n');
    buf_fini(&b);
}

static int run(const struct invocation *in)
{
    struct document_source s = { .paths = in->args };
    const char *out = invocation_option(in, "output");
    struct compiled_documents d;
    struct world *w = NULL;
    struct arena a;
    struct errors e;
    if (s.paths.n == 0)
        return usage_error(in, "nothing to compile: give a FILE or DIR");
    if (!out == !invocation_option(in, "print"))
        return usage_error(in, "give either --output FILE or --print");
    arena_init(&a, 0, 0);
    errors_init(&e, &a);
    if (documents_compile(&s, &d, &e))
        w = documents_world(&d.compiled.resources, NULL, NULL, &e);
    /* what a proxy could not run is found here, not where it is rolled out */
    bool ok = w && proxy_check(w, &e);
    if (ok && out)
        ok = write_snapshot(out, &d.compiled.resources, &e);
    else if (ok)
        print_world(w, &a);
    if (w)
        world_unref(w);
    errors_sort(&e);
    int code = documents_report(&e);
    documents_fini(&d);
    arena_fini(&a);
    return ok ? code : EXIT_FAILED;
}

static const struct option options[] = {
    { "output", 'o', "FILE",
      "Writes a snapshot for 'weir proxy --snapshot'; it holds private keys" },
    { "print", 'p', NULL, "Prints what a proxy would run as JSON, secrets redacted" },
    { NULL },
};
const struct command cmd_compile = {
    .name = "compile",
    .args = "FILE|DIR...",
    .summary = "Compiles documents to a snapshot.",
    .options = options,
    .run = run,
};
