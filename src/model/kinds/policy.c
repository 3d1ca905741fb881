/* Policy: how traffic is handled, attached to a target; sections come from the registry "policy". */
#include "model/model.h"
#include "model/spec.h"

static bool check_target(const void *obj, const struct node *at, struct str path, struct errors *e)
{
    const struct target_spec *t = obj;
    const char *wrong = NULL;
    if ((t->mesh.n > 0) + (t->gateway.n > 0) + (t->service.n > 0) + (t->route.n > 0) != 1)
        wrong = "give exactly one of mesh, gateway, service, route";
    else if (t->listener.n && !t->gateway.n)
        wrong = "listener needs gateway beside it";
    if (!wrong)
        return true;
    return fail(e, at ? at->file : STR(""), at ? at->line : 0, at ? at->col : 0, path, "%s", wrong);
}

static const struct field target_fields[] = {
    FIELD(struct target_spec, mesh, "mesh", "Everything; the name is \"default\"."),
    FIELD(struct target_spec, gateway, "gateway", "A Gateway.", .format = FMT_NAME, .flags = F_REF, .ref = "Gateway"),
    FIELD(struct target_spec, listener, "listener", "One listener of the gateway.", .format = FMT_NAME),
    FIELD(struct target_spec, service, "service", "A Service.", .format = FMT_NAME, .flags = F_REF, .ref = "Service"),
    FIELD(struct target_spec, route, "route", "A Route.", .format = FMT_NAME, .flags = F_REF, .ref = "Route"),
    FEND,
};
static const struct schema target_schema = { .name = "target", .doc = "What a policy applies to.", .size = sizeof(struct target_spec), .fields = target_fields, .check = check_target };
static const struct field fields[] = {
    FOBJ(struct policy_spec, target, "target", &target_schema, "What the policy applies to.", .flags = F_REQUIRED),
    FIELD(struct policy_spec, priority, "priority", "Of two policies with the same target the higher one wins.", .min = -1000, .max = 1000),
    FSECTIONS(struct policy_spec, sections, "sections", "policy", "The sections, beside target.", .flags = F_INLINE),
    FEND,
};
static const struct schema spec = { .name = "Policy", .doc = "How traffic is handled: timeouts, retries, limits and filters, merged field by field.",
                                    .size = sizeof(struct policy_spec), .fields = fields };

static bool check(const struct object *o, const struct model *m, struct errors *e)
{
    const struct policy_spec *p = o->spec;
    const struct node *at = node_get(o->spec_node, STR("target"));
    if (p->target.mesh.n && !str_eq(p->target.mesh, STR("default")))
        return object_fail(e, o, at, STR("spec.target.mesh"), "no mesh is called '%.*s'; the only one is 'default'", STR_FMT(p->target.mesh));
    const struct object *g = p->target.listener.n ? model_find(m, "Gateway", p->target.gateway) : NULL;
    const struct gateway_spec *gs = g ? g->spec : NULL;
    bool found = !gs;
    for (size_t i = 0; gs && i < gs->listeners.n; i++)
        found |= str_eq(gs->listeners.v[i].name, p->target.listener);
    if (found)
        return true;
    return object_fail(e, o, at, STR("spec.target.listener"), "Gateway '%.*s' has no listener '%.*s'", STR_FMT(p->target.gateway), STR_FMT(p->target.listener));
}

const struct kind kind_policy = { .name = "Policy", .doc = "How traffic is handled.", .spec = &spec, .check = check };
