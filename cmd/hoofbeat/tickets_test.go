//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/broker/client"
)

// block returns the nth block of code in a language of a page of the docs.
func block(t *testing.T, page, language string, n int) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(data), "\n```"+language+"\n")
	if len(parts) <= n {
		t.Fatalf("%s has %d blocks of %s", page, len(parts)-1, language)
	}
	code, _, ok := strings.Cut(parts[n], "\n```")
	if !ok {
		t.Fatalf("%s: block %d of %s has no end", page, n, language)
	}
	return code + "\n"
}

// A program in another language signs tickets as the page says.
func TestTicketsSignedByOthers(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	conf := write(t, "hoofbeat.yaml", "auth: {tickets: {signed: true, secret: "+secret+"}}\n")
	s := serve(t, nil, "-c", conf)
	for _, c := range []struct{ language, name, end, program string }{
		{"js", "ticket.mjs", "console.log(ticket(process.argv[2], process.argv[3]));\n", "node"},
		{"python", "ticket.py", "import sys\nprint(ticket(sys.argv[1], sys.argv[2]))\n", "python3"},
		{"php", "ticket.php", "echo ticket($argv[1], $argv[2]), PHP_EOL;\n", "php"},
	} {
		t.Run(c.language, func(t *testing.T) {
			path := needs(t, c.program, "install "+c.program)
			code := block(t, "tickets.md", c.language, 1) + c.end
			if c.language == "php" {
				code = "<?php\n" + code
			}
			for _, name := range []string{"ann", `b"\ö/`} {
				out, err := exec.CommandContext(t.Context(), path, write(t, c.name, code), secret, name).Output()
				if err != nil {
					t.Fatalf("%s: %v", c.program, err)
				}
				url := s.url + "?ticket=" + strings.TrimSpace(string(out))
				conn, err := dial(t, url, client.Options{})
				if err != nil {
					t.Fatalf("connecting as %s: %v\n%s", name, err, s.Stderr())
				}
				if got := conn.Header().Get("user-name"); got != name {
					t.Errorf("connected as %q, want %q", got, name)
				}
				refused(t, 401, url, client.Options{})
			}
		})
	}
}

// The example by which others check their programs is the broker's own form.
func TestTicketVector(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "tickets.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(page), "the ticket is\n\n```\n")
	vector, _, _ := strings.Cut(rest, "\n")
	if !ok || !strings.HasPrefix(vector, "v1.main.") {
		t.Fatalf("no ticket in the page: %q", vector)
	}
	for want, text := range map[string]string{"created in the future": vector, "its signature is wrong": vector[:len(vector)-1] + "A"} {
		tickets, err := ticket.New(ticket.NewMemory(), auth.NewRevocations(), ticket.Options{
			Signed: true, Secrets: []ticket.Secret{{ID: "main", Key: []byte("0123456789abcdef0123456789abcdef")}},
		})
		if err != nil {
			t.Fatal(err)
		}
		// Its time, January 2027, has not come or is over; what matters is that the
		// signature is right.
		_, err = tickets.Consume(t.Context(), text, "")
		if got := fmt.Sprint(err); want == "its signature is wrong" != strings.Contains(got, "its signature is wrong") {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A backend without a name gets its ticket from the command line too.
func TestBackendTicket(t *testing.T) {
	for _, signed := range []string{"enabled: true", "signed: true, secret: " + strings.Repeat("k", 32)} {
		conf := write(t, "hoofbeat.yaml", "auth: {tickets: {"+signed+"}}\nrules: [{allow: [send], destination: \"/topic/**\", roles: [backend]}]\n")
		s := serve(t, nil, "-c", conf)
		env := []string{"HOOFBEAT_ADMIN_URL=" + s.admin, "HOOFBEAT_ADMIN_TOKEN=" + s.token(t)}
		ticket := strings.TrimSpace(run(t, 0, env, "ticket", "--backend").Stdout())
		run(t, 0, nil, "pub", "-u", s.url+"?ticket="+ticket, "/topic/a", "b")
		run(t, 3, nil, "pub", "-u", s.url+"?ticket="+ticket, "/topic/a", "b") // once
		run(t, 2, env, "ticket", "--backend", "--user", "ann")
	}
}
