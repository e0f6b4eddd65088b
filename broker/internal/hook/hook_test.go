package hook

import (
	"errors"
	"strings"
	"testing"
)

var errHook = errors.New("the hook failed")

// fault is found by its name in the stack.
func fault() { panic("no such user") }

func TestPanicIsReportedAndReturned(t *testing.T) {
	for name, call := range map[string]func(Report) error{
		"Guard": func(report Report) error {
			v, err := Guard(report, "Authenticator", func() (int, error) { fault(); return 7, nil })
			if v != 0 {
				t.Errorf("the value is %d", v)
			}
			return err
		},
		"Call": func(report Report) error {
			return Call(report, "Authenticator", func() error { fault(); return nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			var reported *Panic
			err := call(func(hook string, p *Panic) {
				if hook != "Authenticator" || reported != nil {
					t.Errorf("reported for %q, before: %v", hook, reported)
				}
				reported = p
			})
			p, ok := errors.AsType[*Panic](err)
			if !ok || p != reported {
				t.Fatalf("returned is %v, reported %v", err, reported)
			}
			if p.Value != "no such user" || err.Error() != "hook panicked: no such user" {
				t.Errorf("the value is %v, the text %q", p.Value, err)
			}
			if !strings.Contains(string(p.Stack), "hook.fault") {
				t.Errorf("the stack does not show the fault:\n%s", p.Stack)
			}
		})
	}
}

func TestResultsAreReturnedAsTheyAre(t *testing.T) {
	none := func(hook string, p *Panic) { t.Errorf("%s panicked: %v", hook, p) }
	if v, err := Guard(none, "", func() (int, error) { return 7, errHook }); v != 7 || err != errHook {
		t.Errorf("Guard returned %d, %v", v, err)
	}
	if v, err := Guard(none, "", func() (int, error) { return 7, nil }); v != 7 || err != nil {
		t.Errorf("Guard returned %d, %v", v, err)
	}
	if err := Call(none, "", func() error { return errHook }); err != errHook {
		t.Errorf("Call returned %v", err)
	}
	// The panic of a hook inside another one is reported once.
	reports := 0
	once := func(string, *Panic) { reports++ }
	err := Call(once, "outer", func() error {
		return Call(once, "inner", func() error { panic("inner") })
	})
	if _, ok := errors.AsType[*Panic](err); !ok || reports != 1 {
		t.Errorf("returned is %v after %d reports", err, reports)
	}
}

// Some hooks are called for each message: calling one allocates nothing.
func TestGuardAllocatesNothing(t *testing.T) {
	b := new(reporter)
	for name, call := range map[string]func(){
		"Guard": func() { _, _ = Guard(b.report, "Authorizer", func() (*int, error) { return b.value, nil }) },
		"Call":  func() { _ = Call(b.report, "Authorizer", func() error { return b.err }) },
	} {
		if n := testing.AllocsPerRun(100, call); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

type reporter struct {
	value *int
	err   error
}

func (*reporter) report(string, *Panic) {}
