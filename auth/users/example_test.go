package users_test

import (
	"context"
	"fmt"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/users"
)

func Example() {
	hash, err := users.Hash("correct horse battery staple", 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	store, err := users.New([]users.User{{Name: "alice", Hash: hash, Roles: []string{"service"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	authenticator := auth.Chain(store, auth.Anonymous)
	for _, passcode := range []string{"correct horse battery staple", "Tr0ub4dor&3"} {
		p, err := authenticator.Authenticate(context.Background(), &auth.Attempt{
			Stage: auth.StageConnect, Login: "alice", Passcode: passcode,
		})
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(p.Name, p.Roles)
	}
	// Output:
	// alice [service]
	// the login or the passcode is wrong
}
