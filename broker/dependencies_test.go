package broker_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/hoofbeat/hoofbeat"

// listed is what the rules need of `go list -json`.
type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
	Standard     bool
}

func goList(t *testing.T, args ...string) map[string]listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,TestImports,XTestImports,Deps,Standard"}, args...)...)
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	all := make(map[string]listed)
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
}

// TestDependencyRules holds the packages to their places: who may import whom.
func TestDependencyRules(t *testing.T) {
	deps := goList(t, "-deps", "./...")
	ours := func(path string) bool { return path == module || strings.HasPrefix(path, module+"/") }
	inside := func(path, dir string) bool {
		return path == module+"/"+dir || strings.HasPrefix(path, module+"/"+dir+"/")
	}

	// What nats-server and its client bring with them.
	engine := []string{
		"github.com/nats-io/", "github.com/klauspost/compress/", "github.com/minio/highwayhash", "github.com/google/go-tpm/",
		"github.com/antithesishq/antithesis-sdk-go/", "golang.org/x/crypto/", "golang.org/x/sys/", "golang.org/x/time/",
	}
	// Everything outside the standard library that a package may depend on, directly or not.
	allowed := map[string][]string{
		"frames": {}, "topics": {}, "auth": {}, "auth/httpsec": {},
		"auth/users": {"golang.org/x/crypto/"}, "auth/internal/turns": {}, "auth/loglimit": {}, "auth/circuit": {},
		"auth/internal/expiring": {}, "auth/internal/pattern": {}, "auth/internal/weight": {}, "auth/ticket": {},
		"broker/internal/ring": {}, "broker/internal/roster": {},
		"broker": {"github.com/gobwas/ws", "github.com/gobwas/httphead", "github.com/google/uuid"},

		"broker/internal/hook": {}, "broker/internal/clock": {}, "broker/internal/limit": {}, "broker/internal/admission": {},
		"broker/cluster/embedded": engine,
		"broker/store":            {"github.com/gobwas/ws", "github.com/gobwas/httphead", "github.com/google/uuid", "github.com/nats-io/nats.go", "github.com/nats-io/nkeys", "github.com/nats-io/nuid", "github.com/klauspost/compress/", "golang.org/x/crypto/", "golang.org/x/sys/"},
		"broker/cluster":          append([]string{"github.com/gobwas/ws", "github.com/gobwas/httphead", "github.com/google/uuid", "golang.org/x/crypto/"}, engine...),
		"broker/internal/encode":  {"github.com/gobwas/ws", "github.com/gobwas/httphead"},
		"broker/internal/wire":    {"github.com/gobwas/ws", "github.com/gobwas/httphead"},
	}
	for dir, prefixes := range allowed {
		p, ok := deps[module+"/"+dir]
		if !ok {
			t.Errorf("no package %s", dir)
			continue
		}
		for _, d := range p.Deps {
			if ours(d) || deps[d].Standard {
				continue
			}
			if !slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(d, prefix) }) {
				t.Errorf("%s depends on %s", dir, d)
			}
		}
	}

	// Among ourselves: what each package of the core may import.
	within := map[string][]string{
		"frames": {}, "topics": {}, "auth": {"auth/httpsec", "auth/internal/expiring", "auth/internal/pattern"}, "auth/httpsec": {},
		"auth/internal/expiring": {}, "auth/internal/pattern": {}, "auth/internal/weight": {},
		"auth/internal/turns":  {},
		"auth/ticket":          {"auth", "auth/httpsec", "auth/internal/expiring", "auth/internal/weight"},
		"auth/users":           {"auth", "auth/httpsec", "auth/internal/turns"},
		"auth/bearer":          {"auth", "auth/httpsec", "auth/internal/turns", "auth/internal/weight"},
		"auth/webhook":         {"auth", "auth/httpsec", "auth/internal/turns", "auth/internal/weight", "auth/circuit", "auth/loglimit"},
		"auth/oauth":           {"auth", "auth/httpsec", "auth/internal/turns", "auth/internal/weight", "auth/loglimit"},
		"auth/loglimit":        {"auth/httpsec"},
		"auth/circuit":         {},
		"broker":               {"frames", "topics", "auth", "auth/httpsec", "broker/internal", "auth/loglimit"},
		"broker/brokertest":    {"broker", "broker/internal/schedule", "frames", "auth"},
		"broker/admin":         {"broker", "auth", "auth/ticket", "auth/httpsec", "broker/webflow", "auth/loglimit"},
		"broker/webflow":       {"broker", "auth", "auth/httpsec"},
		"broker/sockjs":        {"broker", "auth", "auth/httpsec"},
		"broker/client":        {},
		"broker/interop/java":  {},
		"broker/interop/relay": {},
		"broker/selector":      {"broker"},

		"broker/cluster/embedded":     {"auth/httpsec"},
		"broker/store":                {"broker", "broker/internal/schedule"},
		"broker/cluster":              {"auth", "auth/loglimit", "auth/ticket", "broker", "broker/webflow", "frames", "topics"},
		"broker/brokertest/storetest": {"broker/brokertest", "broker/brokertest/testkit", "broker/webflow"},

		"broker/internal/clock":     {},
		"broker/internal/hook":      {},
		"broker/internal/roster":    {},
		"broker/internal/limit":     {"auth"},
		"broker/internal/admission": {"auth", "auth/httpsec", "topics", "broker/internal/hook", "broker/internal/limit"},
		"broker/internal/encode":    {"frames", "broker/internal/wsconn"},
		"broker/internal/wire":      {"broker/internal/encode", "broker/internal/stream", "broker/internal/wsconn"},

		"broker/brokertest/checker":    {"topics"},
		"broker/brokertest/faultproxy": {},
		"broker/brokertest/process":    {"broker/brokertest", "broker/brokertest/testkit"},
		"broker/brokertest/drive":      {"frames", "broker/brokertest/checker"},
		"broker/brokertest/mutant":     {"frames", "broker/brokertest/checker"},

		"cmd/hoofbeat/internal/config": {"auth", "auth/httpsec", "auth/users", "broker", "topics"},
		"cmd/hoofbeat/internal/access": {"auth", "auth/bearer", "auth/httpsec", "auth/loglimit", "auth/oauth", "auth/ticket", "auth/users", "auth/webhook", "broker", "cmd/hoofbeat/internal/config"},
	}
	for path, p := range deps {
		if !ours(path) {
			continue
		}
		dir := strings.TrimPrefix(path, module+"/")
		for _, imp := range p.Imports {
			if strings.HasPrefix(imp, "github.com/nats-io/nats-server/") && dir != "broker/cluster/embedded" {
				t.Errorf("%s imports %s: only broker/cluster/embedded may, so that others do not link the server", dir, imp)
			}
		}
		rule, ruled := within[dir]
		if !ruled && inside(path, "broker/internal") {
			rule, ruled = []string{"broker/internal"}, true
		}
		for _, imp := range p.Imports {
			if !ours(imp) {
				continue
			}
			if ruled && !slices.ContainsFunc(rule, func(r string) bool {
				return imp == module+"/"+r || r == "broker/internal" && inside(imp, r)
			}) {
				t.Errorf("%s imports %s", dir, imp)
			}
			for _, top := range []string{"cmd", "examples"} {
				if inside(imp, top) && !inside(path, top) {
					t.Errorf("%s imports %s: nothing may import %s", dir, imp, top)
				}
			}
		}
	}
}
