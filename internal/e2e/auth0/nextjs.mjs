// @auth0/nextjs-auth0, and of Next.js what gives the handler of a route its headers() and
// cookies(): no files are compiled and no server is started.
import 'next/dist/server/node-environment.js';

const { NextRequest, NextResponse } = await import('next/server.js');
const { RequestAsyncStorageWrapper } = await import('next/dist/server/async-storage/request-async-storage-wrapper.js');
const { requestAsyncStorage } = await import('next/dist/client/components/request-async-storage.external.js');
const { actionAsyncStorage } = await import('next/dist/client/components/action-async-storage.external.js');
const { Auth0Client } = await import('@auth0/nextjs-auth0/server');

export { Auth0Client, NextResponse };

// A request to the application.
export function request(path, init) {
  return new NextRequest('http://localhost:3000' + path, init);
}

// What a handler returns, and the cookies that it has set, as a Cookie header.
export async function handled(handler, init) {
  const res = new Headers();
  const context = { req: request('/handler', init), renderOpts: { onUpdateCookies: (set) => set.forEach((one) => res.append('set-cookie', one)) } };
  const returned = await actionAsyncStorage.run({ isAppRoute: true },
    () => RequestAsyncStorageWrapper.wrap(requestAsyncStorage, context, handler));
  return { returned, cookie: res.getSetCookie().map((one) => one.split(';')[0]).join('; ') };
}
