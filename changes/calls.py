"""Which addresses programs call. All others are pages for people."""

# The API; then the addresses under which SMAX adapters sign in, and make their calls.
API = "/api/"
OF_ADAPTERS = ("/auth/", "/rest/")
# The cookies in which adapters bring their token.
TOKEN_COOKIES = {"LWSSO_COOKIE_KEY", "SMAX_AUTH_TOKEN"}
CALLS = (API, *OF_ADAPTERS)
