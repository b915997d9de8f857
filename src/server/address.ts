/** `host:port` as configured, taken apart. */
export function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const at = address.lastIndexOf(':');
  const host = address.slice(0, at).replace(/^\[|\]$/g, '');
  return { host: host === '*' ? '0.0.0.0' : host, port: Number(address.slice(at + 1)) };
}
