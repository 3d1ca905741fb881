/* Policy: sections of settings for a target. They stay sparse here; compile merges them and gives
   defaults. */
#include "model/spec.h"

static const struct field object_fields[] = {
    FIELD(struct policy_object, mesh, "mesh", "Everything in this mesh.", .format = FMT_NAME,
          .example = "default"),
    FIELD(struct policy_object, gateway, "gateway", "What comes in by this gateway.",
          .flags = F_REF, .ref = "Gateway"),
    FIELD(struct policy_object, service, "service", "What goes to this service.", .flags = F_REF,
          .ref = "Service"),
    FIELD(struct policy_object, route, "route", "What this route takes.", .flags = F_REF,
          .ref = "Route"),
    FEND,
};
static const struct schema object_schema = { .name = "policy-object",
                                             .doc = "The object a policy is about.",
                                             .size = sizeof(struct policy_object),
                                             .fields = object_fields,
                                             .one_of = true };

static bool target_check(const void *obj, const struct node *at, struct str path, struct errors *e)
{
    const struct policy_target *t = obj;
    (void)path;
    if (t->listener.p && !t->object.gateway.p) {
        const struct node *n = node_get(at, STR("listener"));
        return fail(e, n->file, n->line, n->col, STR("spec.target.listener"),
                    "a listener belongs to a 'gateway', which is not given");
    }
    return true;
}

static const struct field target_fields[] = {
    FOBJ(struct policy_target, object, "object", &object_schema, "The object.", .flags = F_INLINE),
    FIELD(struct policy_target, listener, "listener",
          "Only this listener of the gateway; absent = all of them.", .format = FMT_NAME),
    FEND,
};
static const struct schema target_schema = {
    .name = "policy-target",
    .doc =
        "What a policy is about; the more specific one wins: mesh, service, gateway, listener, "
        "route.",
    .size = sizeof(struct policy_target),
    .fields = target_fields,
    .check = target_check
};
static const struct field fields[] = {
    FOBJ(struct policy_spec, target, "target", &target_schema, "What the policy is about.",
         .flags = F_REQUIRED),
    FIELD(struct policy_spec, priority, "priority",
          "Between policies of the same target the higher one wins, then the name that sorts last.",
          .min = -1000000, .max = 1000000),
    FSECTIONS(struct policy_spec, sections, "sections", "policy", "The settings.",
              .flags = F_INLINE),
    FEND,
};
static const struct schema spec_schema = { .name = "Policy",
                                           .doc = "Settings for a target, field by field.",
                                           .size = sizeof(struct policy_spec),
                                           .fields = fields };

static bool check(const struct object *o, const struct model *m, struct errors *e)
{
    const struct policy_target *t = &((const struct policy_spec *)o->spec)->target;
    const struct policy_object *p = &t->object;
    const struct object *g;
    if (p->mesh.p)
        return str_eq(p->mesh, STR("default")) ||
               spec_fail(e, o, STR("spec.target.mesh"), "there is one mesh, 'default', not '%.*s'",
                         STR_FMT(p->mesh));
    if (p->service.p)
        return model_find(m, "Service", p->service) ||
               reference_fail(e, o, m, STR("spec.target.service"), "Service", p->service);
    if (p->route.p)
        return model_find(m, "Route", p->route) ||
               reference_fail(e, o, m, STR("spec.target.route"), "Route", p->route);
    g = model_find(m, "Gateway", p->gateway);
    if (!g)
        return reference_fail(e, o, m, STR("spec.target.gateway"), "Gateway", p->gateway);
    const struct gateway_spec *spec = g->spec;
    if (!t->listener.p || !spec || gateway_find_listener(spec, t->listener))
        return true;
    struct near near = { .wrong = t->listener };
    for (size_t i = 0; i < spec->listeners.n; i++)
        near_try(&near, spec->listeners.v[i].name);
    return spec_fail(e, o, STR("spec.target.listener"), "Gateway '%.*s' has no listener '%.*s'%s",
                     STR_FMT(p->gateway), STR_FMT(t->listener), near_text(&near));
}

const struct kind kind_policy = { .name = "Policy",
                                  .doc = "Settings for a target, field by field.",
                                  .spec = &spec_schema,
                                  .check = check };
