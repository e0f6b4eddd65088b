package broker_test

import (
	"bytes"
	"go/scanner"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const contractFile = "docs/contract.md"

// contractKinds are the endings of the files in which ids are looked for.
var contractKinds = []string{".go", ".md", ".mjs", ".py", ".java"}

var (
	// writtenID is an id in a comment, a string or a document.
	writtenID   = regexp.MustCompile(`(?:^|[^\w+/-])([ACEHNSTWX][-+]\d{1,2})\b`)
	writtenTrap = regexp.MustCompile(`\b[Tt]raps? (\d{1,2})\b(?:(?:, | and )(\d{1,2})\b)?`)
	// namedID is an id at the beginning of what follows Test in a name:
	// N2, NPlus2, N2Plus or Trap28. Several may follow each other.
	namedID = regexp.MustCompile(`^(?:([ACEHNSTWX])(Plus)?(\d{1,2})(Plus)?(?:To)?|Trap(\d{1,2}))([A-Z].*)?$`)

	contractRow   = regexp.MustCompile(`(?m)^\| ([ACEHNSTWX][-+]\d+|trap \d+) \| (.+) \| (.*) \|$`)
	contractTests = regexp.MustCompile("([^ ]+_test\\.go): ((?:`\\w+`(?:, )?)+)")
	testName      = regexp.MustCompile(`\w+`)
)

// idsOf returns the ids in a text.
func idsOf(text string) (ids []string) {
	for _, m := range writtenID.FindAllStringSubmatch(text, -1) {
		ids = append(ids, m[1])
	}
	for _, m := range writtenTrap.FindAllStringSubmatch(text, -1) {
		for _, number := range m[1:] {
			if number != "" {
				ids = append(ids, "trap "+number)
			}
		}
	}
	return ids
}

// idsOfName returns the ids that the name of a test begins with.
func idsOfName(name string) (ids []string) {
	for _, prefix := range []string{"Test", "Fuzz", "Benchmark"} {
		rest, ok := strings.CutPrefix(name, prefix)
		for ok {
			m := namedID.FindStringSubmatch(rest)
			if m == nil {
				break
			}
			switch {
			case m[5] != "":
				ids = append(ids, "trap "+m[5])
			case m[2] != "" || m[4] != "":
				ids = append(ids, m[1]+"+"+m[3])
			default:
				ids = append(ids, m[1]+"-"+m[3])
			}
			rest = m[6]
		}
	}
	return ids
}

// idUses is what a walk over the repository finds.
type idUses struct {
	used  map[string]string          // id → a file that uses it
	tests map[string]map[string]bool // file → names of its tests
}

func (u *idUses) use(file string, ids []string) {
	for _, id := range ids {
		if u.used[id] == "" {
			u.used[id] = file
		}
	}
}

// scanGo takes the ids of comments, strings and names of tests: elsewhere N-1 is
// a subtraction.
func (u *idUses) scanGo(file string, src []byte) {
	var s scanner.Scanner
	s.Init(token.NewFileSet().AddFile(file, -1, len(src)), src, nil, scanner.ScanComments)
	for last := token.ILLEGAL; ; {
		_, tok, text := s.Scan()
		switch {
		case tok == token.EOF:
			return
		case tok == token.COMMENT || tok == token.STRING:
			u.use(file, idsOf(text))
		case tok == token.IDENT && last == token.FUNC && strings.HasSuffix(file, "_test.go"):
			u.use(file, idsOfName(text))
			if u.tests[file] == nil {
				u.tests[file] = make(map[string]bool)
			}
			u.tests[file][text] = true
		}
		last = tok
	}
}

// idsInRepository walks the whole repository, nested modules included.
func idsInRepository(t *testing.T, root fs.FS) *idUses {
	t.Helper()
	u := &idUses{used: make(map[string]string), tests: make(map[string]map[string]bool)}
	err := fs.WalkDir(root, ".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git"):
			return fs.SkipDir
		case d.IsDir() || file == contractFile || !slices.Contains(contractKinds, path.Ext(file)):
			return nil
		}
		src, err := fs.ReadFile(root, file)
		if err != nil {
			return err
		}
		if path.Ext(file) == ".go" {
			u.scanGo(file, src)
		} else {
			u.use(file, idsOf(string(src)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestContract holds docs/contract.md to the repository: every id that is used
// is defined there, every row is of use, and the tests it names exist.
func TestContract(t *testing.T) {
	root := os.DirFS("..")
	text, err := fs.ReadFile(root, contractFile)
	if err != nil {
		t.Fatal(err)
	}
	u := idsInRepository(t, root)
	defined := make(map[string]bool)
	for _, row := range contractRow.FindAllSubmatch(text, -1) {
		id := string(row[1])
		if defined[id] {
			t.Errorf("%s defines %s twice", contractFile, id)
		}
		defined[id] = true
		if u.used[id] == "" {
			t.Errorf("%s defines %s, which nothing uses", contractFile, id)
		}
		held := contractTests.FindAllSubmatch(row[3], -1)
		if rest := bytes.Trim(contractTests.ReplaceAll(row[3], nil), "; "); len(held) == 0 || len(rest) > 0 {
			t.Errorf("%s: the tests of %s are not written as file: `Test`, `Test`; file: `Test`", contractFile, id)
		}
		u.wantTests(t, contractFile+": "+id, held)
	}
	for _, id := range slices.Sorted(maps.Keys(u.used)) {
		if !defined[id] {
			t.Errorf("%s uses %s, which %s does not define", u.used[id], id, contractFile)
		}
	}
}

// wantTests reports the tests that do not exist; held are matches of
// contractTests.
func (u *idUses) wantTests(t *testing.T, what string, held [][][]byte) {
	t.Helper()
	for _, h := range held {
		for _, name := range testName.FindAllString(string(h[2]), -1) {
			if !u.tests[string(h[1])][name] {
				t.Errorf("%s is held by %s in %s, which does not exist", what, name, h[1])
			}
		}
	}
}

// TestGuaranteesHaveTests: the tests that docs/guarantees.md names exist.
func TestGuaranteesHaveTests(t *testing.T) {
	const file = "docs/guarantees.md"
	root := os.DirFS("..")
	text, err := fs.ReadFile(root, file)
	if err != nil {
		t.Fatal(err)
	}
	held := contractTests.FindAllSubmatch(text, -1)
	if len(held) < 50 {
		t.Errorf("%s names tests at %d places only", file, len(held))
	}
	idsInRepository(t, root).wantTests(t, file+": a promise", held)
}

func TestContractReadsIDs(t *testing.T) {
	for text, want := range map[string]string{
		"// W-1, T+3 (C-3)":            "W-1 T+3 C-3",
		"case=C-9":                     "C-9",
		"SHA-512, UTF-8, P-256, U+200": "",
		"RFC-5, x/A-1, N-123":          "",
		"trap 41: traps 27 and 40":     "trap 41 trap 27 trap 40",
		"traps 7, 8":                   "trap 7 trap 8",
	} {
		if got := strings.Join(idsOf(text), " "); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	for name, want := range map[string]string{
		"TestT6S8SecondUse":        "T-6 S-8",
		"TestNPlus5TPlus4Revoked":  "N+5 T+4",
		"TestT5PlusOriginBinding":  "T+5",
		"TestA1ToA14WithFosite":    "A-1 A-14",
		"TestA12":                  "A-12",
		"FuzzTrap28Through":        "trap 28",
		"TestStompJS2":             "",
		"TestRFC9207Issuer":        "",
		"TestC9207":                "",
		"TestTicketsOfT6AreNoName": "",
	} {
		if got := strings.Join(idsOfName(name), " "); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// TestArchitectureNamesFiles: the walks of docs/architecture.md lead through
// files that exist.
func TestArchitectureNamesFiles(t *testing.T) {
	root := os.DirFS("..")
	text, err := fs.ReadFile(root, "docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-z]+/[a-z/_]+\\.go)`").FindAllSubmatch(text, -1)
	if len(named) < 20 {
		t.Errorf("it names %d files only", len(named))
	}
	for _, m := range named {
		if _, err := fs.Stat(root, string(m[1])); err != nil {
			t.Errorf("it names a file that is not there: %v", err)
		}
	}
}
