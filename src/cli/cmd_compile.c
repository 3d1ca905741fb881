/* weir compile: documents to a snapshot file, or to JSON to look at. */
#include "base/mem.h"
#include "cli/command.h"
#include "cli/documents.h"
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

static bool print_world(const resource_list *r, struct arena *a, struct errors *e)
{
    struct world *w = documents_world(r, NULL, NULL, e);
    struct buf b;
    if (!w)
        return false;
    buf_init(&b, SIZE_MAX / 2);
    json_print(world_describe(w, a), 2, &b);
    fwrite(b.p, 1, b.n, stdout);
    putchar('\n');
    buf_fini(&b);
    world_unref(w);
    return true;
}

static int run(const struct invocation *in)
{
    struct document_source s = { .paths = in->args };
    const char *out = invocation_option(in, "output");
    struct compiled_documents d;
    struct arena a;
    struct errors e;
    if (s.paths.n == 0)
        return usage_error(in, "nothing to compile: give a FILE or DIR");
    if (!out == !invocation_option(in, "print"))
        return usage_error(in, "give either --output FILE or --print");
    arena_init(&a, 0, 0);
    errors_init(&e, &a);
    bool ok = documents_compile(&s, &d, &e);
    if (ok && out)
        ok = write_snapshot(out, &d.compiled.resources, &e);
    else if (ok)
        ok = print_world(&d.compiled.resources, &a, &e);
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
