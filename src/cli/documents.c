/* Documents to worlds. See documents.h. */
#include "cli/documents.h"
#include "base/mem.h"
#include "cli/render_errors.h"
#include "io/addr.h"
#include "io/file.h"
#include "wire/wire.h"
#include <errno.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { DOCUMENT_MAX = 256 << 20, SNAPSHOT_MAX = 1 << 30, SECRET_FILE_MAX = 1 << 20 };

/* ---- input ---- */
static bool read_beside(void *arg, struct str beside, struct str name, struct arena *a,
                        struct str *ret, const char **ret_why)
{
    size_t dir = beside.n;
    (void)arg;
    while (dir > 0 && beside.p[dir - 1] != '/')
        dir--;
    bool absolute = name.n && name.p[0] == '/';
    struct str path =
        absolute ? arena_str(a, name) : arena_fmt(a, "%.*s%.*s", (int)dir, beside.p, STR_FMT(name));
    if (file_read(a, path.p, SECRET_FILE_MAX, ret))
        return true;
    *ret_why = strerror(errno);
    return false;
}

static bool from_environment(void *arg, struct str name, struct str *ret)
{
    char text[256];
    (void)arg;
    if (name.n >= sizeof(text))
        return false;
    memcpy(text, name.p, name.n);
    text[name.n] = 0;
    const char *v = getenv(text);
    *ret = str_from(v);
    return v != NULL;
}

static bool parse_file(struct str path, struct str text, struct arena *a, struct buf *docs,
                       struct errors *e)
{
    node_list some = { NULL, 0 };
    if (str_ends(path, STR(".json"))) {
        struct node *n = json_parse(a, path, text, &NODE_LIMITS_DEFAULT, e);
        return n && buf_add(docs, &n, sizeof(n));
    }
    if (!yaml_parse(a, path, text, &NODE_LIMITS_DEFAULT, &some, e))
        return false;
    return some.n == 0 || buf_add(docs, some.v, some.n * sizeof(*some.v)) ||
           fail(e, path, 0, 0, STR(""), "out of memory");
}

static bool read_file(const char *path, struct compiled_documents *d, struct buf *docs,
                      struct errors *e)
{
    struct str text;
    bool ok = strcmp(path, "-") == 0 ? file_read_stdin(&d->text, DOCUMENT_MAX, &text)
                                     : file_read(&d->text, path, DOCUMENT_MAX, &text);
    if (!ok)
        return fail(e, str_from(path), 0, 0, STR(""), "cannot be read: %s", strerror(errno));
    ok = parse_file(str_from(path), text, &d->arena, docs, e);
    arena_fini(&d->text);
    return ok;
}

static bool read_path(struct str path, struct compiled_documents *d, struct buf *docs,
                      struct errors *e)
{
    str_list files = { &path, 1 };
    if (path_is_dir(path.p)) {
        if (!dir_documents(&d->arena, path.p, &files))
            return fail(e, path, 0, 0, STR(""), "cannot be read: %s", strerror(errno));
        if (files.n == 0)
            return fail(e, path, 0, 0, STR(""), "holds no .yaml, .yml or .json file");
    }
    bool ok = true;
    for (size_t i = 0; i < files.n; i++)
        ok = read_file(files.v[i].p, d, docs, e) && ok;
    return ok;
}

/* The parts of a --to URL; false when it is none that can be sent to. */
static bool to_parts(const char *to, bool *ret_tls, struct str *ret_host, bool *ret_port)
{
    struct str rest = str_from(to);
    *ret_tls = str_starts(rest, STR("https://"));
    if (!*ret_tls && !str_starts(rest, STR("http://")))
        return false;
    rest = str_sub(rest, *ret_tls ? 8 : 7, rest.n);
    struct str host = str_sub(rest, 0, str_find(rest, '/')), path = str_sub(rest, host.n, rest.n);
    struct str name =
        host.n && host.p[0] == '[' ? str_sub(host, str_find(host, ']'), host.n) : host;
    *ret_host = host;
    *ret_port = str_find(name, ':') < name.n;
    return host.n && (path.n == 0 || str_eq(path, STR("/")));
}

const char *documents_to_fault(const struct document_source *s)
{
    union addr unused;
    struct str host;
    bool tls, port;
    if (!to_parts(s->to, &tls, &host, &port))
        return "--to takes a scheme, a host and a port, with no path: http://127.0.0.1:9000";
    if (s->listen && !addr_parse(str_from(s->listen), &unused))
        return "--listen takes an address like 127.0.0.1:8000 or [::1]:8000";
    return NULL;
}

/* --to URL: the documents a user would write for it, so that everything after is the same. */
static bool read_to(const struct document_source *s, struct arena *a, struct buf *docs,
                    struct errors *e)
{
    struct str host;
    bool tls, port;
    if (!to_parts(s->to, &tls, &host, &port))
        return fail(e, STR("--to"), 0, 0, STR(""), "'%s' is not a URL like http://127.0.0.1:9000",
                    s->to);
    struct str text = arena_fmt(
        a,
        "apiVersion: weir/v1\nkind: Gateway\nmetadata: { name: default }\nspec:\n  listeners:\n"
        "    - { name: web, address: \"%s\", protocol: http }\n---\n"
        "apiVersion: weir/v1\nkind: Service\nmetadata: { name: upstream }\nspec:\n  endpoints: [ "
        "\"%.*s%s\" ]\n%s---\n"
        "apiVersion: weir/v1\nkind: Route\nmetadata: { name: all }\nspec:\n  attach: [ { gateway: "
        "default } ]\n"
        "  rules: [ { to: [ { service: upstream } ] } ]\n",
        s->listen ? s->listen : "127.0.0.1:8000", STR_FMT(host),
        port  ? ""
        : tls ? ":443"
              : ":80",
        tls ? "  tls: {}\n" : "");
    node_list some = { NULL, 0 };
    return yaml_parse(a, STR("--to"), text, &NODE_LIMITS_DEFAULT, &some, e) &&
           buf_add(docs, some.v, some.n * sizeof(*some.v));
}

static bool read_all(const struct document_source *s, struct compiled_documents *d,
                     struct buf *docs, struct errors *e)
{
    bool ok = true;
    for (size_t i = 0; i < s->paths.n; i++)
        ok = read_path(s->paths.v[i], d, docs, e) && ok;
    if (s->to)
        ok = read_to(s, &d->arena, docs, e) && ok;
    return ok;
}

bool documents_compile(const struct document_source *s, struct compiled_documents *ret,
                       struct errors *e)
{
    static const struct model_input input = { .read_file = read_beside,
                                              .variable = from_environment };
    jmp_buf oom;
    volatile bool ok = false;
    struct buf docs;
    memset(ret, 0, sizeof(*ret));
    arena_init_big(&ret->arena);
    arena_init_big(&ret->text);
    buf_init(&docs, 64u << 20);
    ret->arena.on_oom = &oom;
    if (setjmp(oom) == 0) {
        ok = read_all(s, ret, &docs, e);
        node_list list = { (struct node **)(void *)docs.p, docs.n / sizeof(struct node *) };
        /* A file that cannot be read makes every reference into it an error: those would only hide
         * the first one. */
        if (ok && list.n == 0) /* a file that is being written must not stop everything */
            ok = fail(e, s->paths.n ? s->paths.v[0] : STR(""), 0, 0, STR(""), "holds no document");
        if (ok)
            ok = model_build(&ret->model, &ret->arena, &list, &input, e) &&
                 compile(&ret->model, &ret->arena, &ret->compiled, e);
    } else {
        ok = fail(e, STR(""), 0, 0, STR(""), "out of memory");
    }
    ret->arena.on_oom = NULL;
    buf_fini(&docs);
    return ok && !errors_any(e);
}

void documents_fini(struct compiled_documents *d)
{
    compiled_fini(&d->compiled);
    model_fini(&d->model);
    arena_fini(&d->text);
    arena_fini(&d->arena);
}

/* ---- worlds ----
   A world copies what it keeps of the bytes, and only what its predecessor does not lend it: a file
   may be overwritten while it is in use, and a reload that changes one route must not hold a second
   copy of all others. */
struct sealed {
    struct buf bytes;
    _Atomic unsigned refs;
};

struct str sealed_view(const struct sealed *s)
{
    return buf_view(&s->bytes);
}

void sealed_unref(struct sealed *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    buf_fini(&s->bytes);
    mem_free(s);
}

static struct sealed *seal(const resource_list *r, struct errors *e)
{
    struct sealed *s = mem_alloc(sizeof(*s));
    if (s) {
        buf_init(&s->bytes, SIZE_MAX / 2);
        s->refs = 1;
        if (wire_snapshot_write(r, &s->bytes))
            return s;
    }
    fail(e, STR(""), 0, 0, STR(""), "out of memory");
    sealed_unref(s);
    return NULL;
}

struct world *documents_world(const resource_list *r, const struct world *prev,
                              struct sealed **ret_sealed, struct errors *e)
{
    struct arena scratch;
    resource_list read;
    struct sealed *s = seal(r, e);
    struct world *w = NULL;
    if (!s)
        return NULL;
    arena_init(&scratch, 0, 0);
    if (wire_snapshot_read(sealed_view(s), false, &scratch, &read, e, STR("documents")))
        w = world_build(&(struct world_input){ .resources = &read }, prev, e);
    arena_fini(&scratch);
    if (!w || !ret_sealed)
        sealed_unref(s);
    else
        *ret_sealed = s;
    return w;
}

/* A snapshot file that is being read: what has been read leaves memory a piece at a time, so that
 * the old routes, the new ones and the file never stand side by side. */
struct reading {
    struct str file;
    size_t dropped;
};
enum { READ_PIECE = 1 << 20 };

static void sealed_piece(void *arg, struct str piece)
{
    (void)arg;
    file_map_drop(piece);
}

static void used_bytes(void *arg, struct str bytes)
{
    struct reading *r = arg;
    size_t end = (size_t)(bytes.p + bytes.n - r->file.p) / READ_PIECE * READ_PIECE;
    if (end <= r->dropped)
        return;
    file_map_drop(str_sub(r->file, r->dropped, end));
    r->dropped = end;
}

struct world *snapshot_world(const char *path, const struct world *prev, struct errors *e)
{
    struct arena scratch;
    resource_list list;
    struct reading r = { 0 };
    if (!file_map(path, SNAPSHOT_MAX, &r.file)) {
        fail(e, str_from(path), 0, 0, STR(""), "cannot be read: %s", strerror(errno));
        return NULL;
    }
    arena_init(&scratch, 0, 0);
    struct world *w = NULL;
    bool sealed = wire_snapshot_sealed(r.file, sealed_piece, NULL);
    if (wire_snapshot_read(r.file, !sealed, &scratch, &list, e, str_from(path)))
        w = world_build(
            &(struct world_input){ .resources = &list, .used = used_bytes, .used_arg = &r }, prev,
            e);
    arena_fini(&scratch);
    file_unmap(r.file);
    return w;
}

int documents_report(const struct errors *e)
{
    render_errors(e, STDERR_FILENO, isatty(STDERR_FILENO));
    return errors_any(e) ? 1 : 0;
}
