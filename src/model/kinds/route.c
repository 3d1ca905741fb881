/* Route: which requests go where. */
#include "model/model.h"
#include "model/spec.h"

static const struct field attach_fields[] = {
    FIELD(struct attach_spec, gateway, "gateway", "Name of a Gateway.", .format = FMT_NAME, .flags = F_REQUIRED | F_REF, .ref = "Gateway"),
    FIELD(struct attach_spec, listener, "listener", "One of its listeners; none means every one.", .format = FMT_NAME),
    FEND,
};
static const struct schema attach_schema = { .name = "attach", .doc = "Where a route is attached.", .size = sizeof(struct attach_spec), .fields = attach_fields };
static const struct field path_fields[] = {
    FIELD(struct path_spec, exact, "exact", "The whole path.", .format = FMT_PATH, .example = "/health"),
    FIELD(struct path_spec, prefix, "prefix", "Beginning of the path, in whole segments.", .format = FMT_PATH, .example = "/api"),
    FIELD(struct path_spec, template, "template", "Segments in braces take any value.", .format = FMT_TEMPLATE, .example = "/users/{id}/orders"),
    FIELD(struct path_spec, regex, "regex", "Regular expression for the whole path.", .format = FMT_REGEX, .example = "/v[0-9]+/.*"),
    FEND,
};
static const struct schema path_schema = { .name = "path", .doc = "How the path must look.", .size = sizeof(struct path_spec), .fields = path_fields, .one_of = true };

static bool check_value(const void *obj, const struct node *at, struct str path, struct errors *e)
{
    const struct value_spec *v = obj;
    int given = (node_get(at, STR("exact")) != NULL) + (v->prefix.n > 0) + (v->regex.n > 0) + v->present;
    if (given == 1)
        return true;
    return fail(e, at ? at->file : STR(""), at ? at->line : 0, at ? at->col : 0, path, "give exactly one of exact, prefix, regex, present");
}

#define VALUE_ROWS(fmt)                                                                                                              \
    FIELD(struct value_spec, name, "name", "Name of the field.", .format = fmt, .flags = F_REQUIRED),                                \
        FIELD(struct value_spec, exact, "exact", "The whole value."), FIELD(struct value_spec, prefix, "prefix", "Its beginning."),  \
        FIELD(struct value_spec, regex, "regex", "Regular expression for the whole value.", .format = FMT_REGEX),                    \
        FIELD(struct value_spec, present, "present", "Any value will do."),                                                          \
        FIELD(struct value_spec, invert, "invert", "Matches when this does not hold."), FEND
static const struct field header_fields[] = { VALUE_ROWS(FMT_HEADER) };
static const struct field query_fields[] = { VALUE_ROWS(FMT_ANY) };
static const struct schema header_schema = { .name = "headerMatch", .doc = "A header field.", .size = sizeof(struct value_spec), .fields = header_fields, .check = check_value };
static const struct schema query_schema = { .name = "queryMatch", .doc = "A query parameter.", .size = sizeof(struct value_spec), .fields = query_fields, .check = check_value };
static const struct field match_fields[] = {
    FPTR(struct match_spec, path, "path", &path_schema, "How the path must look."),
    FIELD(struct match_spec, method, "method", "The method.", .format = FMT_METHOD, .example = "GET"),
    FLIST(struct match_spec, headers, "headers", &header_schema, "Header fields that must all match.", .max = 16),
    FLIST(struct match_spec, query, "query", &query_schema, "Query parameters that must all match.", .max = 16),
    FEND,
};
static const struct schema match_schema = { .name = "match", .doc = "What a request must look like; everything given must hold.", .size = sizeof(struct match_spec), .fields = match_fields };
static const struct field to_fields[] = {
    FIELD(struct to_spec, service, "service", "Name of a Service.", .format = FMT_NAME, .flags = F_REQUIRED | F_REF, .ref = "Service"),
    FIELD(struct to_spec, weight, "weight", "Share of the requests; 0 sends none.", .def = "1", .max = 1000000),
    FEND,
};
static const struct schema to_schema = { .name = "to", .doc = "A service and its share.", .size = sizeof(struct to_spec), .fields = to_fields };
static const struct field redirect_fields[] = {
    FIELD(struct redirect_spec, status, "status", "301, 302, 303, 307 or 308.", .def = "302", .min = 301, .max = 308),
    FIELD(struct redirect_spec, scheme, "scheme", "http or https; by default as it came.", .example = "https"),
    FIELD(struct redirect_spec, host, "host", "Host to go to.", .format = FMT_HOST),
    FIELD(struct redirect_spec, port, "port", "Port to go to.", .max = 65535),
    FIELD(struct redirect_spec, path, "path", "The whole new path; may use {names} of a template.", .example = "/new"),
    FIELD(struct redirect_spec, prefix_path, "prefixPath", "Replaces the matched prefix only."),
    FEND,
};
static bool check_redirect(const void *obj, const struct node *at, struct str path, struct errors *e)
{
    const struct redirect_spec *r = obj;
    const char *wrong = NULL;
    if (r->status > 303 && r->status < 307)
        wrong = "status must be 301, 302, 303, 307 or 308";
    else if (r->scheme.n && !str_eq(r->scheme, STR("http")) && !str_eq(r->scheme, STR("https")))
        wrong = "scheme must be http or https";
    else if (r->path.n && r->prefix_path.n)
        wrong = "give path or prefixPath, not both";
    if (!wrong)
        return true;
    return fail(e, at ? at->file : STR(""), at ? at->line : 0, at ? at->col : 0, path, "%s", wrong);
}
static const struct schema redirect_schema = { .name = "redirect", .doc = "Sends the client elsewhere.", .size = sizeof(struct redirect_spec), .fields = redirect_fields, .check = check_redirect };
static const struct field reply_fields[] = {
    FIELD(struct reply_spec, status, "status", "Status code.", .def = "200", .min = 200, .max = 599),
    FIELD(struct reply_spec, content_type, "contentType", "Content-Type of the body.", .format = FMT_HEADER_VALUE),
    FIELD(struct reply_spec, body, "body", "The body.", .max = 65536),
    FEND,
};
static const struct schema reply_schema = { .name = "reply", .doc = "A fixed answer.", .size = sizeof(struct reply_spec), .fields = reply_fields };
static const struct field rewrite_fields[] = {
    FIELD(struct rewrite_spec, host, "host", "Host to send to the service.", .format = FMT_HOST),
    FIELD(struct rewrite_spec, path, "path", "The whole new path; may use {names} of a template."),
    FIELD(struct rewrite_spec, prefix_path, "prefixPath", "Replaces the matched prefix only."),
    FEND,
};
static bool check_rewrite(const void *obj, const struct node *at, struct str path, struct errors *e)
{
    const struct rewrite_spec *r = obj;
    if (!r->path.n || !r->prefix_path.n)
        return true;
    return fail(e, at ? at->file : STR(""), at ? at->line : 0, at ? at->col : 0, path, "give path or prefixPath, not both");
}
static const struct schema rewrite_schema = { .name = "rewrite", .doc = "Changes what is sent to the service.", .size = sizeof(struct rewrite_spec), .fields = rewrite_fields, .check = check_rewrite };
static const struct field edit_fields[] = {
    FIELD(struct header_edits_spec, set, "set", "Fields to set, replacing what is there."),
    FIELD(struct header_edits_spec, add, "add", "Fields to add."),
    FIELD(struct header_edits_spec, remove, "remove", "Fields to remove.", .format = FMT_HEADER),
    FEND,
};
static const struct schema edit_schema = { .name = "headerEdits", .doc = "Changes of header fields.", .size = sizeof(struct header_edits_spec), .fields = edit_fields };
static const struct field headers_fields[] = {
    FOBJ(struct headers_spec, request, "request", &edit_schema, "Changes of the request."),
    FOBJ(struct headers_spec, response, "response", &edit_schema, "Changes of the response."),
    FEND,
};
static const struct schema headers_schema = { .name = "headers", .doc = "Changes of header fields, both ways.", .size = sizeof(struct headers_spec), .fields = headers_fields };

static bool check_rule(const void *obj, const struct node *at, struct str path, struct errors *e)
{
    const struct rule_spec *r = obj;
    const char *wrong = NULL;
    if ((r->to.n > 0) + (r->redirect != NULL) + (r->reply != NULL) != 1)
        wrong = "a rule needs exactly one of to, redirect, reply";
    else if (r->rewrite && !r->to.n)
        wrong = "rewrite needs to";
    if (!wrong)
        return true;
    return fail(e, at ? at->file : STR(""), at ? at->line : 0, at ? at->col : 0, path, "%s", wrong);
}
static const struct field rule_fields[] = {
    FLIST(struct rule_spec, match, "match", &match_schema, "Any of these will do; none matches everything.", .max = 64),
    FLIST(struct rule_spec, to, "to", &to_schema, "Services, chosen by weight.", .max = 64),
    FPTR(struct rule_spec, redirect, "redirect", &redirect_schema, "Sends the client elsewhere."),
    FPTR(struct rule_spec, reply, "reply", &reply_schema, "A fixed answer."),
    FPTR(struct rule_spec, rewrite, "rewrite", &rewrite_schema, "Changes what is sent to the service."),
    FOBJ(struct rule_spec, headers, "headers", &headers_schema, "Changes of header fields."),
    FEND,
};
static const struct schema rule_schema = { .name = "rule", .doc = "Requests, and what becomes of them.", .size = sizeof(struct rule_spec), .fields = rule_fields, .check = check_rule };
static const struct field fields[] = {
    FLIST(struct route_spec, attach, "attach", &attach_schema, "Where the route is attached.", .flags = F_REQUIRED, .min = 1, .max = 64),
    FIELD(struct route_spec, hosts, "hosts", "Hosts, exact or *.wildcard; none takes every host.", .format = FMT_HOST, .max = 1000),
    FIELD(struct route_spec, priority, "priority", "Rules of a higher priority are tried first.", .min = -1000, .max = 1000),
    FLIST(struct route_spec, rules, "rules", &rule_schema, "The rules.", .flags = F_REQUIRED, .min = 1, .max = 10000),
    FEND,
};
static const struct schema spec = { .name = "Route", .doc = "Which requests go where.", .size = sizeof(struct route_spec), .fields = fields };

/* References by name are checked with their places by model_references. Here: what only both objects together can tell. */
static bool check(const struct object *o, const struct model *m, struct errors *e)
{
    const struct route_spec *r = o->spec;
    bool ok = true;
    for (size_t i = 0; i < r->attach.n; i++) {
        const struct attach_spec *at = &r->attach.v[i];
        const struct object *g = model_find(m, "Gateway", at->gateway);
        const struct gateway_spec *gs = g ? g->spec : NULL;
        bool found = !gs || !at->listener.n;
        for (size_t k = 0; gs && k < gs->listeners.n; k++)
            found |= str_eq(gs->listeners.v[k].name, at->listener);
        if (!found)
            ok = object_fail(e, o, node_get(o->spec_node, STR("attach")), STR("spec.attach"), "Gateway '%.*s' has no listener '%.*s'",
                             STR_FMT(at->gateway), STR_FMT(at->listener));
    }
    return ok;
}

const struct kind kind_route = { .name = "Route", .doc = "Which requests go where.", .spec = &spec, .check = check };
