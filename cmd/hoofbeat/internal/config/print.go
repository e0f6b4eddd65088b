package config

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// WriteDefault writes the configuration file with every key at its default and
// its documentation above it. The result loads as [Default].
func WriteDefault(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprint(b, `# The configuration of hoofbeat. Every key is shown with its default: keep the keys
# that you change and delete the rest.
#
# Each key is also an environment variable, such as HOOFBEAT_LIMITS_FRAME for
# limits.frame, and a flag, --limits-frame. Flags override variables, and variables
# override this file. Write durations as 500ms, 5s or 1h30m, and sizes as 512, 64KiB or
# 1GiB; off removes a limit. File names are relative to this file. To validate it, run
# hoofbeat config check.
`)
	docs := sections()
	open := ""
	for _, k := range Keys() {
		if k.envOnly {
			continue
		}
		section, leaf := cut(k.Path)
		indent := strings.Repeat("  ", strings.Count(k.Path, "."))
		if section != open || section == "" {
			b.WriteByte('\n')
		}
		if section != open {
			openSection(b, docs, open, section)
			open = section
		}
		if r, ok := k.value.(*records); ok {
			comment(b, indent, k.Doc+" Such as:")
			fmt.Fprintf(b, "%s#   - %s\n", indent, r.example)
		} else {
			comment(b, indent, k.Doc)
		}
		setting(b, indent, indent+leaf+": "+scalar(k))
	}
	b.WriteByte('\n')
	comment(b, "", rulesDoc+" Such as:")
	for _, example := range rulesExamples() {
		fmt.Fprintf(b, "#   %s\n", example)
	}
	b.WriteString("rules: []\n")
	return b.Flush()
}

const rulesDoc = `Access rules. The first matching rule decides. If no rule matches, the backend of
auth.webhook decides; if it passes, or without a backend, the built-in rules do: clients
can subscribe to /topic/**, /app/** and their own /user/**, and send to /app/** and
/user/topic/registration, and nothing else; in development mode they can also send to
/topic/**, and send and subscribe to /queue/**. A rule allows or denies subscribe, send
or both for a destination or pattern, in which {user} is the user's name. It applies to
users who have one of the roles, one of the scopes and all of the claims;
authenticated: true excludes anonymous users. A wildcard after /user/ reaches other
users and needs any_user: true. Rules can only be set in the file.`

func rulesExamples() []string {
	return []string{
		`- {allow: [subscribe], destination: "/topic/reminder/{user}"}`,
		`- {deny: [subscribe, send], destination: "/topic/**", roles: [guest]}`,
		`- {allow: [send], destination: "/topic/orders/**", claims: {tenant: [acme]}}`,
		`- {allow: [send], destination: "/user/*/queue/*", roles: [service], any_user: true}`,
	}
}

// cut splits a path into its section and its last name.
func cut(path string) (section, leaf string) {
	dot := strings.LastIndexByte(path, '.')
	return path[:max(dot, 0)], path[dot+1:]
}

// openSection writes the names of a section and of those around it that are not
// open yet.
func openSection(b *bufio.Writer, docs map[string]string, open, section string) {
	if section == "" {
		return
	}
	parent, leaf := cut(section)
	if parent != "" && parent != open && !strings.HasPrefix(open, parent+".") {
		openSection(b, docs, open, parent)
	}
	indent := strings.Repeat("  ", strings.Count(section, "."))
	comment(b, indent, docs[section])
	fmt.Fprintf(b, "%s%s:\n", indent, leaf)
}

func scalar(k Key) string {
	switch {
	case k.Type() == "list":
		return "[" + strings.ReplaceAll(k.Default, ",", ", ") + "]"
	case k.Default == "":
		return `""`
	default:
		return k.Default
	}
}

// width is the length of a line of the default file, about.
const width = 88

// setting writes a key and its value; a list that is too long for one line goes on
// in the next.
func setting(b *bufio.Writer, indent, line string) {
	for len(line) > width {
		end := strings.LastIndex(line[:width], ", ")
		if end < 0 {
			break
		}
		b.WriteString(line[:end+1] + "\n")
		line = indent + "  " + line[end+2:]
	}
	b.WriteString(line + "\n")
}

// comment writes text as comment lines.
func comment(b *bufio.Writer, indent, text string) {
	at := 0
	for _, word := range strings.Fields(text) {
		if at == 0 || at+1+len(word) > width {
			if at > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(indent + "#")
			at = len(indent) + 1
		}
		b.WriteString(" " + word)
		at += 1 + len(word)
	}
	if at > 0 {
		b.WriteByte('\n')
	}
}

// WriteEnv writes an environment file for systemd or docker, with every variable
// commented out at its default.
func WriteEnv(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprint(b, "# The variables of hoofbeat with their defaults. Lists are separated by commas; an empty\n# variable counts as not set.\n")
	for _, k := range Keys() {
		b.WriteByte('\n')
		comment(b, "", k.Doc)
		if r, ok := k.value.(*records); ok {
			writeItemEnv(b, k.Env(), r)
			continue
		}
		fmt.Fprintf(b, "#%s=%s\n", k.Env(), k.Default)
	}
	return b.Flush()
}

func writeItemEnv(b *bufio.Writer, env string, r *records) {
	for _, item := range r.fresh() {
		if inner, ok := item.value.(*records); ok {
			writeItemEnv(b, itemEnv(env, item), inner)
			continue
		}
		fmt.Fprintf(b, "#%s=%s\n", itemEnv(env, item), item.Default)
	}
}

// WriteDocs writes the keys as Markdown tables, one for each section, and rules.
func WriteDocs(w io.Writer) error {
	b := bufio.NewWriter(w)
	docs := sections()
	var lists []Key
	open := "-"
	for _, k := range Keys() {
		section, _ := cut(k.Path)
		if section != open {
			title := section
			if title == "" {
				title = "Listeners"
			}
			if open != "-" {
				b.WriteByte('\n')
			}
			fmt.Fprintf(b, "### %s\n\n", title)
			if docs[section] != "" {
				fmt.Fprintf(b, "%s\n\n", docs[section])
			}
			b.WriteString(header)
			open = section
		}
		if r, ok := k.value.(*records); ok {
			lists = append(lists, k)
			row(b, k.Path, k.Default, r.Type(), k.Env()+"_0_…", "", k.Doc)
			continue
		}
		doc := k.Doc
		if k.Live {
			doc += " *A reload applies changes.*"
		}
		row(b, k.Path, k.Default, k.Want(), k.Env(), dashes(k.Flag()), doc)
	}
	for _, k := range lists {
		writeItemDocs(b, k.Path, k.Env(), k)
	}
	fmt.Fprintf(b, "\n### rules\n\n%s\n\n```yaml\nrules:\n", rulesDoc)
	for _, example := range rulesExamples() {
		fmt.Fprintf(b, "  %s\n", example)
	}
	b.WriteString("```\n")
	return b.Flush()
}

// writeItemDocs writes the table of the items of a list, and those of the lists in
// them.
func writeItemDocs(b *bufio.Writer, path, env string, list Key) {
	r := list.value.(*records)
	fmt.Fprintf(b, "\n### Items of %s\n\n%s\n\n```yaml\n%s:\n  - %s\n```\n\n", path, list.Doc, last(path), r.example)
	b.WriteString(header)
	var inner []Key
	for _, item := range r.fresh() {
		if _, ok := item.value.(*records); ok {
			inner = append(inner, item)
			row(b, item.Path, item.Default, item.Type(), itemEnv(env, item)+"_0_…", "", item.Doc)
			continue
		}
		row(b, item.Path, item.Default, item.Want(), itemEnv(env, item), "", item.Doc)
	}
	for _, k := range inner {
		writeItemDocs(b, path+"[]."+k.Path, itemEnv(env, k), k)
	}
}

const header = "| key | default | values | environment | flag | meaning |\n|---|---|---|---|---|---|\n"

func row(b *bufio.Writer, key, def, want, env, flag, doc string) {
	fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", code(key), code(def), cell(want), code(env), code(flag), cell(doc))
}

// itemEnv is the variable of a key of the first item of a list.
func itemEnv(list string, item Key) string { return list + "_0_" + strings.ToUpper(item.Path) }

func dashes(flag string) string {
	if flag == "" {
		return ""
	}
	return "--" + flag
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + cell(s) + "`"
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
