/** Text in SVG and HTML. */

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** Text whose characters have no meaning in the markup, also inside double quotes. */
export function escape(content: string): string {
  return (
    content
      .replace(/[&<>"]/g, (character) => ENTITIES[character])
      // eslint-disable-next-line no-control-regex -- XML 1.0 has no way to write these
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd')
  );
}
