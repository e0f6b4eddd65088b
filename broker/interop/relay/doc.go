// Package relay holds no code, only tests: a broker behind Spring's
// StompBrokerRelayMessageHandler and as the server of its WebSocketStompClient,
// held to the very bytes that these classes send.
package relay
