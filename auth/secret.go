package auth

// MinSecretBytes is the minimum length in bytes of a secret that signs with
// HMAC-SHA-256: the length of the hash.
const MinSecretBytes = 32
