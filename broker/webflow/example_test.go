package webflow_test

import (
	"context"
	"fmt"
	"log"

	"github.com/hoofbeat/hoofbeat/auth"
	"github.com/hoofbeat/hoofbeat/auth/ticket"
	"github.com/hoofbeat/hoofbeat/broker"
	"github.com/hoofbeat/hoofbeat/broker/webflow"
)

// A login approved on a phone. Only a page with a ticket for the operation can
// wait for the result.
func Example() {
	tickets, err := ticket.New(ticket.NewMemory(), auth.NewRevocations(), ticket.Options{})
	if err != nil {
		log.Fatal(err)
	}
	b, err := broker.New(broker.Options{Authenticator: tickets})
	if err != nil {
		log.Fatal(err)
	}
	defer b.Close()
	flow, err := webflow.New(b, webflow.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer flow.Close()

	ctx := context.Background()
	const operationID = "40269145-d91f-4579-badd-c57fa1133239"
	webSocketID, err := flow.Open(ctx, webflow.Operation{ID: operationID})
	if err != nil {
		log.Fatal(err)
	}
	// Give the ticket and the webSocketId to the page, which connects and
	// registers.
	if _, err := tickets.Mint(ctx, ticket.Grant{Principal: &auth.Principal{Name: "visitor"}, Operation: operationID}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(webSocketID[:16])
	// The phone approves. No page has registered yet, so the result is held.
	delivered, err := flow.Notify(ctx, operationID, "CONFIRMED")
	fmt.Println(delivered, err)
	// Output:
	// e30fbecf539e0609
	// false <nil>
}
