package access

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/hoofbeat/hoofbeat/auth"
)

// S-11: a user that was removed or has another passcode loses the unused
// tickets, others keep theirs; a file that cannot be read changes nothing.
func TestS11ReloadedUsersLoseTickets(t *testing.T) {
	hash := func(passcode string) string {
		h, err := bcrypt.GenerateFromPassword([]byte(passcode), bcrypt.DefaultCost)
		if err != nil {
			t.Fatal(err)
		}
		return string(h)
	}
	one, two := hash("one"), hash("two")
	path := filepath.Join(t.TempDir(), "users.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("- {name: ann, hash: '" + one + "'}\n- {name: bob, hash: '" + one + "'}\n- {name: carl, hash: '" + one + "'}\n")
	f, err := openUserFile(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	store := auth.NewRevocations()
	write("- nonsense")
	if _, err := f.Reload(store); err == nil {
		t.Error("nonsense is read")
	}
	write("- {name: ann, hash: '" + two + "'}\n- {name: carl, hash: '" + one + "', roles: [new]}\n")
	if n, err := f.Reload(store); n != 2 || err != nil {
		t.Errorf("%d users, %v", n, err)
	}
	if store.Epoch("ann") == 0 || store.Epoch("bob") == 0 || store.Epoch("carl") != 0 {
		t.Errorf("epochs of ann %d, bob %d, carl %d", store.Epoch("ann"), store.Epoch("bob"), store.Epoch("carl"))
	}
}
