"""The same documents in other words: YAML in random style (block and flow, quotes, anchors, comments, tags), keys in another order, JSON, many files."""
import json
import os
import re

PLAIN = re.compile(r"[a-z][a-z0-9./-]*\Z")  # written without quotes it is the same string
WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
FIXED_ORDER = {"set", "add"}  # fields are written in the order of the document


def shuffled(rnd, value, key=None):
    """The same value with the keys of its maps in another order."""
    if isinstance(value, list):
        return [shuffled(rnd, v) for v in value]
    if not isinstance(value, dict):
        return value
    keys = list(value)
    if key not in FIXED_ORDER:
        rnd.shuffle(keys)
    return {k: shuffled(rnd, value[k], k) for k in keys}


def with_variables(rnd, value, variables):
    """The same once ${NAME}s are put in: some strings come whole or in part from the environment, which variables then holds."""
    if isinstance(value, dict):
        return {k: with_variables(rnd, v, variables) for k, v in value.items()}
    if isinstance(value, list):
        return [with_variables(rnd, v, variables) for v in value]
    if not isinstance(value, str) or "$" in value or rnd.random() < 0.9:
        return value
    a, b = sorted((rnd.randint(0, len(value)), rnd.randint(0, len(value))))
    name = "V_%d" % len(variables)
    variables[name] = value[a:b]
    return value[:a] + "${%s}" % name + value[b:]


class Writer:
    def __init__(self, rnd):
        self.rnd, self.anchors, self.count = rnd, {}, 0

    def string(self, s, key=False):
        ways = [json.dumps(s)]
        if "\n" not in s:
            ways.append("'%s'" % s.replace("'", "''"))
            if PLAIN.match(s) and s not in WORDS:
                ways += [s, s]
                if not key:
                    ways.append("!!str " + s)
        return self.rnd.choice(ways)

    def scalar(self, v):
        if isinstance(v, str):
            return self.string(v)
        return {True: self.rnd.choice(["true", "true"]), False: "false"}[v] if isinstance(v, bool) else self.rnd.choice([str(v), "!!int %d" % v])

    def remark(self):
        return self.rnd.choice(["", "", "", "  # a: remark", " #"])

    def flow(self, v):
        """One line."""
        mark = self.marked(v)
        if mark[0] == "*":
            return mark + " "
        pad = self.rnd.choice(["", " "])
        if isinstance(v, dict):
            return mark + "{" + pad + ", ".join("%s: %s" % (self.string(k, True), self.flow(x)) for k, x in v.items()) + pad + "}"
        if isinstance(v, list):
            return mark + "[" + pad + ",  ".join(self.flow(x) for x in v) + pad + "]"
        return mark + self.scalar(v)

    def marked(self, v):
        """"*name" of an equal value that stands before, "&name " to name this one, or "" (then "  " is harmless)."""
        text = json.dumps(v)  # the order of keys too: some lists of fields keep it
        if text in self.anchors and self.rnd.random() < 0.8:
            return "*" + self.anchors[text]
        if self.rnd.random() < 0.3 and (isinstance(v, (dict, list)) and v or isinstance(v, str) and len(v) > 3):
            self.count += 1
            self.anchors[text] = "a%d" % self.count
            return "&%s " % self.anchors[text]
        return " "

    def block(self, v, indent):
        """Text that follows "key:" or "-", to the end of its lines."""
        if not isinstance(v, (dict, list)) or not v or self.rnd.random() < 0.25:
            if isinstance(v, str) and "\n" in v and v.endswith("\n") and self.rnd.random() < 0.7:
                return " |\n" + "".join(" " * (indent + 2) + line + "\n" for line in v.splitlines())
            return " " + self.flow(v) + self.remark() + "\n"
        mark = self.marked(v)
        if mark[0] == "*":
            return " " + mark + self.remark() + "\n"
        out = " " + mark.strip() + self.remark() + "\n" if mark.strip() else self.remark() + "\n"
        step = indent + self.rnd.choice([1, 2, 4])
        if isinstance(v, dict):
            for k, x in v.items():
                out += " " * step + self.string(k, True) + ":" + self.block(x, step)
        else:
            for x in v:
                out += " " * step + "-" + self.block(x, step + 1)
        return out

    def document(self, v):
        self.anchors = {}
        out = ""
        for k, x in v.items():
            out += self.rnd.choice(["", "", "# remark\n", "\n"]) + self.string(k, True) + ":" + self.block(x, 0)
        return out


def yaml_text(rnd, objects):
    w = Writer(rnd)
    out = rnd.choice(["", "---\n", "# first\n---\n", "%YAML 1.2\n---\n"])
    for i, o in enumerate(objects):
        if i:
            out += rnd.choice(["---\n", "--- # next\n", "...\n---\n"])
        out += w.document(o)
    if rnd.random() < 0.2:
        out = out.replace("\n", "\r\n")
    return rnd.choice(["", "", "", "\ufeff"]) + out


def json_text(rnd, o):
    return json.dumps(o, indent=rnd.choice([None, 1, 2]), ensure_ascii=rnd.choice([True, False])) + rnd.choice(["", "\n"])


def write_files(rnd, folder, objects):
    """The documents in several files and folders, YAML and JSON; returns what to give on the command line."""
    paths, at = [], 0
    while at < len(objects):
        n = rnd.randint(1, max(1, len(objects) // 2))
        part, at = objects[at:at + n], at + n
        name = os.path.join(folder, "f%d" % len(paths))
        os.makedirs(folder, exist_ok=True)
        how = rnd.choice(["yaml", "yml", "json", "folder"])
        if how in ("yaml", "yml"):
            write("%s.%s" % (name, how), yaml_text(rnd, part))
            paths.append("%s.%s" % (name, how))
            continue
        os.makedirs(name, exist_ok=True)
        for i, o in enumerate(part):
            file = os.path.join(name, "%d.json" % i)
            if how == "folder" and rnd.random() < 0.5:
                file = os.path.join(name, "%d.yaml" % i)
                write(file, yaml_text(rnd, [o]))
            else:
                write(file, json_text(rnd, o))
            if how == "json":
                paths.append(file)
        if how == "folder":
            write(os.path.join(name, "README.txt"), "not a document")
            paths.append(name)
    return paths


def write(path, text):
    with open(path, "w", encoding="utf-8", newline="") as f:
        f.write(text)
