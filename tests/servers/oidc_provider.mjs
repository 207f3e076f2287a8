// The OpenID Connect provider of npm, as its own example runs it: any name signs in, with its own pages.
// Arguments: port, seconds that an access token lives. It prints the answer of every token request's kind.
import { createRequire } from "node:module";

const { Provider } = await load();
const [port, lifetime] = process.argv.slice(2).map(Number);
const issuer = `http://127.0.0.1:${port}`;

async function load() {
  // The package lies in a cache folder (NODE_PATH), where an import by name does not look.
  const place = createRequire(`${process.env.NODE_PATH}/package.json`).resolve("oidc-provider");
  const found = await import(`file://${place}`);
  return { Provider: found.Provider ?? found.default };
}

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "dicomdock",
      application_type: "native",
      token_endpoint_auth_method: "none",
      redirect_uris: ["http://127.0.0.1/"],
      response_types: ["code"],
      grant_types: ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
    },
    {
      client_id: "robot",
      client_secret: "r0b0t-secret",
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: "client_secret_basic",
      grant_types: ["client_credentials"],
    },
  ],
  pkce: { required: () => true, methods: ["S256"] },
  rotateRefreshToken: true,
  ttl: { AccessToken: lifetime, ClientCredentials: lifetime, IdToken: 60, RefreshToken: 3600, DeviceCode: 60 },
  features: {
    deviceFlow: { enabled: true },
    revocation: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
  },
  cookies: { keys: ["only for tests"] },
});
provider.on("grant.success", (ctx) => console.log(`granted ${ctx.oidc.params.grant_type}`));
provider.on("grant.error", (ctx, error) => console.log(`refused ${ctx.oidc?.params?.grant_type} ${error.error_detail ?? error.message}`));
provider.on("server_error", (ctx, error) => console.log(`failed ${error.stack}`));
provider.listen(port, "127.0.0.1", () => console.log("listening"));
