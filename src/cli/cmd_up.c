/* weir up: documents, or one URL, run in this process. */
#include "cli/documents.h"
#include "cli/run_proxy.h"

static struct world *load(void *arg, const struct world *prev, struct errors *e)
{
    struct compiled_documents d;
    struct world *w = NULL;
    if (documents_compile(arg, &d, e))
        w = documents_world(&d.compiled.resources, prev, e);
    documents_fini(&d);
    return w;
}

static int run(const struct invocation *in)
{
    struct document_source s = { .paths = in->args,
                                 .to = invocation_option(in, "to"),
                                 .listen = invocation_option(in, "listen") };
    if (s.paths.n == 0 && !s.to)
        return usage_error(in, "nothing to run: give a FILE, a DIR or --to URL");
    if (s.listen && !s.to)
        return usage_error(in, "--listen goes with --to; documents say where a gateway listens");
    return run_proxy(in, load, &s);
}

static const struct option options[] = {
    { "to", 0, "URL", "Proxies everything to this URL, no file needed" },
    { "listen", 'l', "ADDR", "With --to: where to listen (127.0.0.1:8000)" },
    PROXY_OPTIONS,
    { NULL },
};
const struct command cmd_up = {
    .name = "up",
    .args = "[FILE|DIR...]",
    .summary = "Runs a gateway from documents, all in one process.",
    .doc =
        "Examples:\n  weir up --to http://127.0.0.1:9000\n  weir up shop.yaml\n  weir up conf.d "
        "--status 127.0.0.1:9100\n\n"
        "SIGHUP reads the documents again: a bad one changes nothing, and no reload closes a "
        "connection.\n"
        "SIGTERM lets requests under way finish; a second one ends at once.",
    .options = options,
    .run = run,
};
