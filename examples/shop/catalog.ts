// The catalogue service: products by list, search and detail, with validators for caches.

import { createHash } from 'node:crypto'
import { Refusal, sendJson, serve } from '../http.ts'

interface Product {
  readonly id: string
  readonly name: string
  readonly category: string
  readonly priceCents: number
  readonly stock: number
  readonly description: string
}

const products: readonly Product[] = [
  ['oak-desk', 'Oak desk', 'furniture', 48900, 7, 'Solid oak, oiled, 160 by 80 cm, with a cable channel.'],
  ['walnut-shelf', 'Walnut shelf', 'furniture', 18950, 23, 'Five boards, wall mounted, carries 25 kg each.'],
  ['linen-chair', 'Linen chair', 'furniture', 22400, 12, 'Beech frame with a removable linen cover.'],
  ['brass-lamp', 'Brass lamp', 'lighting', 9900, 40, 'A reading lamp with a dimmer in the foot.'],
  ['paper-lantern', 'Paper lantern', 'lighting', 2450, 180, 'Rice paper on bamboo, 45 cm across.'],
  ['wool-rug', 'Wool rug', 'textiles', 31500, 5, 'Hand woven, undyed wool, 170 by 240 cm.'],
  ['cotton-throw', 'Cotton throw', 'textiles', 5900, 64, 'A light throw in four colours.'],
  ['felt-basket', 'Felt basket', 'storage', 3200, 91, 'Holds magazines, toys or firewood.'],
  ['tin-box', 'Tin box', 'storage', 1250, 310, 'With a tight lid, for tea or buttons.'],
  ['stoneware-mug', 'Stoneware mug', 'kitchen', 1690, 220, 'Glazed inside, raw outside, 0.3 litres.'],
  ['steel-kettle', 'Steel kettle', 'kitchen', 7450, 33, 'For every stove, induction included.'],
  ['olive-board', 'Olive wood board', 'kitchen', 4200, 48, 'For bread and cheese; each grain differs.'],
].map(([id, name, category, priceCents, stock, description]) => ({
  id: String(id),
  name: String(name),
  category: String(category),
  priceCents: Number(priceCents),
  stock: Number(stock),
  description: String(description),
}))

serve('catalog', {
  'GET /v2/products': ({ response, url }) => {
    const category = url.searchParams.get('category')
    const words = (url.searchParams.get('q') ?? '').toLowerCase()
    const limit = Math.min(Number(url.searchParams.get('limit') ?? 20) || 20, 100)
    const found = products.filter(
      product =>
        (category === null || product.category === category) &&
        `${product.name} ${product.description}`.toLowerCase().includes(words),
    )
    sendJson(response, 200, { total: found.length, products: found.slice(0, limit) })
  },

  'GET /v2/products/:id': ({ request, response, params }) => {
    const product = products.find(({ id }) => id === params.id)
    if (product === undefined) throw new Refusal(404, `There is no product ${params.id}.`)
    const etag = `"${createHash('sha256').update(JSON.stringify(product)).digest('base64url').slice(0, 16)}"`
    const caching = { etag, 'cache-control': 'max-age=60' }
    if (request.headers['if-none-match'] === etag) response.writeHead(304, caching).end()
    else sendJson(response, 200, product, caching)
  },
})
