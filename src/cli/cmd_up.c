/* weir up: documents, or one URL, run in this process. */
#include "cli/documents.h"
#include "cli/last_good.h"
#include "cli/run_proxy.h"

struct up {
    struct document_source source;
    struct last_good *last_good; /* NULL without --data */
};

static struct world *load(void *arg, const struct world *prev, struct errors *e)
{
    struct up *u = arg;
    struct compiled_documents d;
    struct sealed *sealed = NULL;
    struct world *w = NULL;
    if (documents_compile(&u->source, &d, e))
        w = documents_world(&d.compiled.resources, prev, u->last_good ? &sealed : NULL, e);
    if (u->last_good)
        last_good_offer(u->last_good, sealed);
    documents_fini(&d);
    return w;
}

static bool open_data(struct up *u, const char *dir)
{
    struct arena a;
    struct errors e;
    arena_init(&a, 0, 0);
    errors_init(&e, &a);
    u->last_good = last_good_open(dir, &e);
    documents_report(&e);
    arena_fini(&a);
    return u->last_good != NULL;
}

static int run(const struct invocation *in)
{
    struct up u = { .source = { .paths = in->args,
                                .to = invocation_option(in, "to"),
                                .listen = invocation_option(in, "listen") } };
    const char *data = invocation_option(in, "data");
    if (u.source.paths.n == 0 && !u.source.to)
        return usage_error(in, "nothing to run: give a FILE, a DIR or --to URL");
    if (u.source.listen && !u.source.to)
        return usage_error(in, "--listen goes with --to; documents say where a gateway listens");
    const char *wrong = u.source.to ? documents_to_fault(&u.source) : NULL;
    if (wrong)
        return usage_error(in, "%s", wrong);
    if (data && !open_data(&u, data))
        return EXIT_FAILED;
    int code =
        run_proxy(in, &(struct run_source){ .load = load, .arg = &u, .last_good = u.last_good });
    last_good_close(u.last_good);
    return code;
}

static const struct option options[] = {
    { "to", 0, "URL", "Proxies everything to this URL, no file needed" },
    { "listen", 'l', "ADDR", "With --to: where to listen (127.0.0.1:8000)" },
    { "data", 'd', "DIR",
      "Keeps the last good configuration there, with its keys, to start from when the documents "
      "are refused" },
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
        "SIGTERM lets requests under way finish; a second one ends at once.\n"
        "Without --data nothing is written; with it a start is like a reload: what is refused "
        "leaves the last good\nconfiguration running, and the log and /status say so (stale).\n"
        "Under systemd (Type=notify) readiness, reloads and the end are announced.",
    .options = options,
    .run = run,
};
