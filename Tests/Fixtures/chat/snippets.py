"""Small templates with what jinja2 makes of them. python snippets.py > snippets.jsonl   (jinja2 3.1)

One case a line: {"template", "text"} or {"template", "error": true}. All share the context in CONTEXT, also written to
context.json. The environment is the one that transformers sets up for chat templates.
"""
import copy, json, os, random, re, warnings
from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

warnings.simplefilter("ignore")


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_pass"), [], [], body).set_lineno(line)

    def _pass(self, caller):
        return caller()


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def raise_exception(message):
    raise TemplateError(message)


env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, Generation])
env.filters["tojson"] = tojson
env.globals["raise_exception"] = raise_exception

CONTEXT = {
    "s": "Hello, World", "e": "", "u": "naïve 你好 🙂 ß", "w": "  a b\tc \n d  ", "q": "it's \"q\" \\ \n",
    "h": "<b>&'x'</b>", "n": 5, "z": 0, "g": -7, "f": 2.5, "t": True, "o": None, "l": [3, 1, 2],
    "ls": ["b", "A", "c", "a"], "le": [], "lm": [1, "x", None, 2.5, True, [1, 2]],
    "d": {"a": 1, "b": "two", "items": 7, "c": [1, {"k": "v"}]}, "de": {},
    "m": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": " hi "},
          {"role": "assistant", "content": None, "tool_calls": [{"name": "f", "arguments": {"x": 1}}]},
          {"role": "user", "content": "bye"}],
}
VALUES = list(CONTEXT) + ["missing", "'ab'", "''", "3", "-2", "0.1", "1e16", "true", "none", "[]", "{}", "(1, 2)"]
UNARY = """{}|abs {}|capitalize {}|count {}|default('D') {}|default('D',true) {}|dictsort {}|escape {}|first {}|float
{}|int {}|items|list {}|join('-') {}|last {}|list {}|lower {}|max {}|min {}|reverse|list {}|round {}|round(1) {}|safe
{}|sort {}|string {}|striptags {}|sum {}|title {}|tojson {}|tojson(indent=2) {}|trim {}|unique|list {}|upper
{}|urlencode {}|wordcount {}|map('upper')|list {}|map(attribute='role')|list {}|selectattr('role')|list
{}|rejectattr('role','equalto','user')|list {}|select('string')|list {}|batch(2)|list {}|slice(2)|list {}|indent
{}|truncate(6) {}|center(9) {}|groupby('role') {}|replace('l','L') {}|sort(attribute='role') {}|format(1)
{}.upper() {}.strip() {}.split() {}.split(',') {}.rsplit(None,1) {}.title() {}.items()|list {}.get('a') {}.role {}.a
{}['b'] {}[0] {}[-1] {}[::-1] {}[1:] {}[:-1] {}.append(1) {}.join(['a','b']) {}.startswith('H') {}.find('l')
{}.replace('l','',1) {}.isdigit() {}.splitlines() {}.zfill(4) {}.items -{} not({})""".split()
TESTS = """odd even defined undefined none boolean integer float lower upper string mapping number sequence iterable
callable true false""".split()
BINARY = "+ - * / // % ** ~ == != < >= in and or".split() + ["not in"]
LAYOUT = ["{{% for i in l {0}%}}\n  {{{{ i }}}}\n{{%{1} endfor %}}\nx", " \n {{%{0} if t {1}%}} \n a \n {{% endif %}} \n b",
          "a\n  {{#{0} c {1}#}}\n  b", "a \n {{{{{0} s {1}}}}} \n b", "a\n {{%{0} raw %}} {{{{ s }}}} {{% endraw {1}%}} \n b",
          "x {{%{0} set y = 1 {1}%}} \n {{{{ y }}}}\n"]
STATEMENTS = r"""
{% set x = 1 %}{% for i in l %}{% set x = i %}{{ x }}{% endfor %}{{ x }}
{% set ns = namespace(x=1) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}
{% for i in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{% endfor %}
{% for i in l if i > 1 %}{{ i }}{{ loop.length }}{{ loop.nextitem }}{{ loop.previtem }}{% else %}none{% endfor %}
{% for i in [] %}x{% else %}empty{% endfor %}
{% for i in l %}{% if loop.first %}{% continue %}{% endif %}{{ i }}{% if loop.index == 2 %}{% break %}{% endif %}{% else %}e{% endfor %}
{% for i in l %}{% break %}{% else %}else{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
{% for (a, b), c in [[[1, 2], 3]] %}{{ a }}{{ b }}{{ c }}{% endfor %}
{% for i in [[1, [2, [3]]], [4]] recursive %}{{ loop.depth }}{% if i is iterable %}({{ loop(i) }}){% else %}{{ i }}{% endif %}{% endfor %}
{% for i in l %}{{ loop.cycle('a', 'b') }}{{ loop.changed(i > 1) }}{% endfor %}
{% macro f(a, b=2, c=a) %}[{{ a }}|{{ b }}|{{ c }}|{{ varargs }}|{{ kwargs }}]{% endmacro %}{{ f() }}{{ f(1) }}{{ f(1, 3, 4, 5, z=6) }}{{ f(b=1) }}
{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}
{% macro f(a) %}{{ a }}{% endmacro %}{{ f(b=2) }}
{% macro f(a) %}<{{ caller(a) }}>{% endmacro %}{% call(x) f(3) %}{{ x * 2 }}{% endcall %}
{% macro f(n) %}{{ n }}{% if n %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}
{% filter upper %}abc {{ s }}{% endfilter %}
{% filter trim|length %}abc{% endfilter %}
{% set x %}abc {{ s }}{% endset %}{{ x }}{% set y | upper %}abc{% endset %}{{ y }}
{% with a = 1, b = n %}{{ a }}{{ b }}{% set s = 2 %}{{ s }}{% endwith %}{{ s }}{{ a }}
{% generation %}{% set s = 1 %}{{ s }}{% endgeneration %}{{ s }}
{% block body %}{{ s }}{% endblock %}
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (c, d) = [3, 4] %}{{ c }}{{ d }}
{% set a, b = l %}
{% if false %}{{ s|nope }}{% endif %}ok
{{ s|nope }}
{{ s is nope }}
{{ 'a' if n else s|nope }}
{{ missing.x }}
{{ m[0].nope.nope }}
{{ raise_exception('no') }}
{% include 'x' %}
{% do l.append(1) %}
{{ l.append(1) }}
{{ d.update({}) }}
{{ s.__class__ }}|{{ s.__class__ is defined }}
{{ s.__class__.__name__ }}
{{ '%s-%5.2f|%-5d|%05d|%x|%r|%%' % (s, f, n, n, 255, 'q') }}
{{ '%(a)s %(b)s' % d }}
{{ '%s' % 1 % 2 }}
{{ '{} {!r} {:>8}|{:^7}|{:.2f}|{:05d}|{:,}'.format(s, s, 'x', 'y', f, n, 1234567) }}
{{ '{a} {b[0]} {c.k}'.format(a=1, b=l, c={'k': 2}) }}
{{ '{' }}
{{ 1 < 2 < 3 }}{{ 3 > 2 > 2 }}{{ 1 == 1.0 == true }}
{{ 2 ** 3 ** 2 }}{{ -2 ** 2 }}{{ 7 // -2 }}{{ 7 % -2 }}{{ -7 // 2 }}{{ 7.5 // 2 }}{{ -7.5 % 2 }}
{{ 1 / 3 }} {{ 1e100 }} {{ 1e-5 }} {{ 123456789012345678.0 }} {{ 0.1 + 0.2 }} {{ 1e15 }} {{ 1e16 }} {{ -0.0 }}
{{ 'a' 'b' "c" }}{{ '\n\t\x41\u4f60\'\\' }}{{ '\d' }}
{{ [1, 'a', none, true, 2.0, (1,), {'k': "it's"}] }}
{{ q|tojson }}{{ u|tojson }}{{ u|tojson(ensure_ascii=true) }}{{ h|tojson }}
{{ d|tojson(indent=2, sort_keys=true) }}{{ d|tojson(separators=(',', ':')) }}{{ [1.0, 1e20, none, true]|tojson }}
{{ {1: 2, true: 3, none: 4, 1.5: 5}|tojson }}
{{ missing|tojson }}
{{ u|length }}{{ u[0] }}{{ u[2] }}{{ u[-3:] }}{{ u|upper }}{{ u|reverse }}
{{ ('a<' + ('<b>'|safe)) }}{{ 'a<' ~ ('<b>'|safe) }}
{{ m|selectattr('role', 'equalto', 'user')|map(attribute='content')|map('trim')|join(',') }}
{{ m|map(attribute='nope', default='x')|list }}{{ m|map(attribute='tool_calls.0.name', default='-')|join }}
{{ m|selectattr('tool_calls', 'defined')|list|length }}{{ (m|map('length'))|list }}
{% if m|selectattr('role', 'equalto', 'nobody') %}a generator is true{% endif %}
{% set it = l|map('string') %}{{ it|join }}{{ it|join }}
{{ (l|map('string'))|length }}
{{ m|groupby('role')|map(attribute='grouper')|join(',') }}{% for g in m|groupby('role') %}{{ g.grouper }}{{ g.list|length }}{% endfor %}
{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{% set j = joiner() %}{{ j() }}{{ j() }}
{{ range(5)|list }}{{ range(5, 0, -2)|list }}{{ range(3) }}{{ range(10)[2:4] }}{{ 2 in range(3) }}
{{ range(1000000)|list|length }}
{{ dict(a=1, **{'b': 2}) }}{{ dict([['x', 1]]) }}
{{ (1 if false) }}|{{ (1 if false) is defined }}
{{ d.items }}|{{ d['items'] }}|{{ d['keys'] is callable }}
{{ 'b' in d }}{{ 'x' not in ls }}{{ 'ell' in s }}{{ 1 in missing }}
{{ x|default }}{{ x|default('a')|upper }}{{ none|default('b') }}{{ none|default('b', boolean=true) }}
{{ "a\nb\n\nc"|indent(2) }}|{{ "a\nb"|indent('> ', true) }}|{{ "a\n\nb"|indent(2, blank=true) }}
{% print s, n %}
{{ 1_000 }}{{ 0x1f }}{{ 0b11 }}{{ 0o17 }}{{ 1.5e3 }}
{{ l.0 }}{{ d.c.1.k }}
{{ lm|sort }}
{{ ls|sort }}{{ ls|sort(case_sensitive=true) }}{{ ls|sort(reverse=true) }}{{ ls|unique|list }}{{ d|dictsort|list|length }}
""".strip().split("\n")

random.seed(7)
templates = ["{{ " + u.replace("{}", v) + " }}" for u in UNARY for v in VALUES]
templates += ["{{ %s is %s }}" % (v, t) for t in TESTS for v in VALUES]
templates += ["{{ %s %s %s }}" % (random.choice(VALUES), op, random.choice(VALUES)) for op in BINARY for _ in range(25)]
layout = [form.format(a, b) for form in LAYOUT for a in ["", "-", "+"] for b in ["", "-", "+"]]
templates = random.sample(templates, 900) + layout + STATEMENTS

folder = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(folder, "context.json"), "w", encoding="utf-8") as file:
    json.dump(CONTEXT, file, ensure_ascii=False, indent=1)
for template in templates:
    try:
        row = {"template": template, "text": env.from_string(template).render(**copy.deepcopy(CONTEXT))}
    except Exception:
        row = {"template": template, "error": True}
    # jinja2 folds a slice of a constant number into undefined where it fails at run time.
    folded = re.match(r"\{\{ (-?[\d.e]+|true|none)\[[^]]*:", template)
    if not folded and " at 0x" not in row.get("text", ""):
        print(json.dumps(row, ensure_ascii=False))
