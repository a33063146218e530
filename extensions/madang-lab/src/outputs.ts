/**
 * What a cell printed, with links to the tracking server that this browser can open. The notebook's file is
 * left as it is: it may be opened by another address next time.
 */
import { type IRenderMimeRegistry, MimeModel, RenderedText } from '@jupyterlab/rendermime';

import { reachable } from './links';

const PRINTED = ['text/plain', 'application/vnd.jupyter.stdout'];
/** JupyterLab's own rank of plain text, which is replaced. */
const RANK = 120;

type Model = Parameters<RenderedText['render']>[0];

class Printed extends RenderedText {
  constructor(
    options: ConstructorParameters<typeof RenderedText>[0],
    private readonly inside: string
  ) {
    super(options);
  }

  override render(model: Model): Promise<void> {
    const text = String(model.data[this.mimeType]);
    const shown = reachable(text, this.inside, window.location.origin);
    if (shown === text) {
      return super.render(model);
    }
    const { metadata, trusted } = model;
    return super.render(new MimeModel({ data: { [this.mimeType]: shown }, metadata, trusted }));
  }
}

/** @param inside - the tracking server's address in kernels; with an empty one nothing changes */
export function openLinks(registry: IRenderMimeRegistry, inside: string): void {
  if (inside === '') {
    return;
  }
  registry.addFactory(
    {
      safe: true,
      mimeTypes: PRINTED,
      defaultRank: RANK,
      createRenderer: options => new Printed(options, inside)
    },
    RANK
  );
}
