package broker_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The list in doc.go has every file of the package, once, in six groups.
func TestDocListsTheFiles(t *testing.T) {
	src, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, list, found := strings.Cut(string(src), "// # Files\n")
	list, _, end := strings.Cut(list, "// # ")
	if !found || !end {
		t.Fatal("doc.go has no section Files")
	}
	groups := strings.Split(list, "//   - ")[1:]
	if len(groups) != 6 {
		t.Errorf("%d groups, want 6", len(groups))
	}
	var listed []string
	for _, group := range groups {
		_, names, _ := strings.Cut(group, ":")
		for _, name := range regexp.MustCompile(`[a-z0-9_]+`).FindAllString(names, -1) {
			listed = append(listed, name+".go")
		}
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "_test.go") })
	for _, f := range files {
		if !slices.Contains(listed, f) {
			t.Errorf("doc.go does not list %s", f)
		}
	}
	slices.Sort(listed)
	for i, f := range listed {
		if i > 0 && f == listed[i-1] {
			t.Errorf("doc.go lists %s twice", f)
		}
		if !slices.Contains(files, f) {
			t.Errorf("doc.go lists %s, and there is no such file", f)
		}
	}
}
