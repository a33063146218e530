// An OpenID Connect provider for tests: the certified `oidc-provider` with a sign-in form of one field.
//
// Usage: node server.mjs FOLDER. FOLDER holds config.json (issuer, port, clients, lifetimes) and
// people.json ({subject: claims}), which is read anew at each question, so that a test renames or removes
// somebody by writing the file. Words on stdin: `away` (stop listening, forget nothing) and `back`; each is
// answered by the same word on stdout when it is done.
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

// the packages lie in build/, this file in the sources: resolve from the folder that the caller names
const packages = pathToFileURL(`${process.env.PROVIDER_PACKAGES}/node_modules/`);
const { default: Provider } = await import(new URL("oidc-provider/lib/index.js", packages));
const { generateKeyPair, exportJWK } = await import(new URL("jose/dist/webapi/index.js", packages));

const folder = process.argv[2];
const config = JSON.parse(readFileSync(`${folder}/config.json`, "utf8"));
const people = () => JSON.parse(readFileSync(`${folder}/people.json`, "utf8"));

const { privateKey } = await generateKeyPair("RS256", { extractable: true });
const key = { ...(await exportJWK(privateKey)), use: "sig", alg: "RS256", kid: "test" };

const provider = new Provider(config.issuer, {
  clients: config.clients,
  jwks: { keys: [key] },
  cookies: { keys: [randomBytes(32).toString("hex")] },
  scopes: ["openid", "offline_access"],
  claims: {
    openid: ["sub"],
    profile: ["name", "preferred_username", "groups", "given_name", "family_name"],
    email: ["email", "email_verified"],
  },
  features: {
    devInteractions: { enabled: false },
    rpInitiatedLogout: {
      enabled: config.end_session,
      // no question: the page sends its own form
      logoutSource: (ctx, form) => {
        ctx.body = `<!DOCTYPE html><title>Signing out</title>${form}
          <button form="op.logoutForm" name="logout" value="yes" id="yes">yes</button>`;
      },
    },
    revocation: { enabled: true },
  },
  pkce: { required: () => true },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  ttl: {
    AccessToken: config.access_seconds,
    // somebody slow may have a code that lasts less
    AuthorizationCode: (ctx, code) => people()[code.accountId]?.code_seconds ?? 60,
    RefreshToken: config.refresh_seconds,
    IdToken: 3600,
    Session: 3600,
    Interaction: 600,
    Grant: 36000,
  },
  issueRefreshToken: () => config.refresh,
  rotateRefreshToken: () => true,
  expiresWithSession: () => false,
  async findAccount(ctx, subject) {
    const found = people()[subject];
    return found && { accountId: subject, claims: () => ({ sub: subject, ...found }) };
  },
  // an institution's own client: nobody is asked what it may know
  async loadExistingGrant(ctx) {
    const { client, session, params } = ctx.oidc;
    const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope(params.scope);
    await grant.save();
    return grant;
  },
});

provider.on("server_error", (ctx, error) => console.error(error));

const page = (uid) => `<!DOCTYPE html><html lang="ko"><meta charset="utf-8"><title>기관 로그인</title>
  <h1>기관 로그인</h1><form method="post" action="/interaction/${uid}">
  <label>아이디 <input name="login" id="login" required></label>
  <button id="enter">로그인</button></form>`;

// who is removed is signed out as well, as an institution does it
provider.use(async (ctx, next) => {
  if (ctx.path === "/auth") {
    const session = await provider.Session.get(ctx);
    if (session.accountId && !(session.accountId in people())) await session.destroy();
  }
  return next();
});

provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith("/interaction/")) return next();
  const { uid } = await provider.interactionDetails(ctx.req, ctx.res);
  if (ctx.method === "GET") {
    ctx.type = "html";
    ctx.body = page(uid);
    return;
  }
  let body = "";
  for await (const part of ctx.req) body += part;
  const login = new URLSearchParams(body).get("login");
  const result =
    login in people()
      ? { login: { accountId: login } }
      : { error: "access_denied", error_description: "nobody is called so here" };
  await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: false });
});

const server = createServer(provider.callback());
const listen = (word) => server.listen(config.port, "127.0.0.1", () => console.log(word));
createInterface({ input: process.stdin })
  .on("line", (word) => {
    if (word === "back") listen("back");
    if (word === "away") {
      server.close(() => console.log("away"));
      server.closeAllConnections();
    }
  })
  .on("close", () => process.exit(0)); // the test is gone
listen("ready");
